package translate

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// fetchTimeout is how long Envoy waits for a resource that another one names, before it goes on without. It equals
// Envoy's default and is written out so that it stays: with 0, for ever, a cluster that returns to its former self while
// Envoy still warms its successor would never be answered; after the timeout Envoy takes the endpoints that it has cached.
const fetchTimeout = 15 * time.Second

// ADSConfigSource says "from the one ADS stream". Never change a byte of it, between releases either: Envoy keys the
// providers of secrets by name and these bytes, and asks anew (or not, and serves without) when they differ.
func ADSConfigSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		InitialFetchTimeout:   durationpb.New(fetchTimeout),
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}
