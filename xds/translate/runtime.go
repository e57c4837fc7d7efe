package translate

import (
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxProgramSize is above what package regex lets through, and below what RE2 has memory for.
const maxProgramSize = 100_000

// RuntimeLayer is what resources of this package rely on in the bootstrap of an Envoy. Envoy refuses regular expressions
// whose program has more than 100 instructions unless its runtime says otherwise: a text of 90 characters is one. And it
// lets chunks pass that are longer than they say, which RFC 9112 forbids and HAProxy answers with 400: two servers that
// read such a body in two ways take its end for another request.
//
// And it wants ALPN of every transport of a cluster whose members agree on HTTP/2 or HTTP/1.1 by it, those of checks in clear
// included, which have no other protocol to agree on.
func RuntimeLayer() *bootstrapv3.RuntimeLayer {
	return &bootstrapv3.RuntimeLayer{
		Name: "octavia",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{
			Fields: map[string]*structpb.Value{
				"re2.max_program_size.error_level":               structpb.NewNumberValue(maxProgramSize),
				"envoy.reloadable_features.strict_chunk_parsing": structpb.NewBoolValue(true),
				"config.do_not_validate_alpn_support":            structpb.NewNumberValue(always),
			},
		}},
	}
}
