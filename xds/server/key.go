package server

import (
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// Key names one xDS resource.
type Key struct {
	// TypeURL is the type, type.googleapis.com/envoy.config.….
	TypeURL string
	// Name is unique in the type.
	Name string
}

// String is the key in words, for people: "listener 5a1c…".
func (k Key) String() string {
	return Kind(k.TypeURL) + " " + k.Name
}

// compare orders keys by type and then name.
func compare(a, b Key) int {
	if byType := strings.Compare(a.TypeURL, b.TypeURL); byType != 0 {
		return byType
	}
	return strings.Compare(a.Name, b.Name)
}

// Kind is the word for a type URL; it is also the metrics' label, so it takes few values.
func Kind(typeURL string) string {
	switch typeURL {
	case resource.ClusterType:
		return "cluster"
	case resource.EndpointType:
		return "endpoint"
	case resource.ListenerType:
		return "listener"
	case resource.RouteType:
		return "route"
	case resource.SecretType:
		return "secret"
	default:
		return "other"
	}
}

// wildcardType says whether Envoy takes all resources of a type (CDS, LDS), or asks for them by name (EDS, RDS, SDS).
func wildcardType(typeURL string) bool {
	return typeURL == resource.ClusterType || typeURL == resource.ListenerType
}
