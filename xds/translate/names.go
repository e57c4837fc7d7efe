package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// The names of resources. Nothing else in the project may build or take apart such a name: Resources.Owners leads from a
// resource to its Octavia object.
//
//	Listener, RouteConfiguration, stat_prefix, filter chain   <listener id>
//	Cluster of a pool, whoever uses it                        <pool id>
//	… for an HTTP listener with its own connect timeout       <pool id>:<listener id>   HAProxy's name for a backend
//	… for a TCP or HTTPS listener                             tcp:<listener id>
//	… for a UDP listener                                      udp:<listener id>
//	filter chain for clients without SNI, where there is one  <listener id>:nameless
//	Listener for HTTP/3; all else has the names of that for TCP  <listener id>:h3
//	Secret                                                    <id of the listener or pool>/<role>   model.Secret.Name
//	EDS service name                                          <cluster>@<hash of the cluster>
//
// No id may hold a colon or an at sign (see checkID), so that no two of them can meet. Envoy writes the colon as an
// underscore in names of statistics.

// namelessChain names the filter chain of clients that name no server, see filterChains.
func namelessChain(listener *model.Listener) string { return listener.ID + ":nameless" }

// http3Suffix ends the names of listeners over QUIC.
const http3Suffix = ":h3"

// http3Name names the listener over QUIC, see listenHTTP3.
func http3Name(listener *model.Listener) string { return listener.ID + http3Suffix }

// ListenerUse is what the name of a listener says.
type ListenerUse struct {
	// Listener is the listener's id.
	Listener string
	// HTTP3 says that this is its second listener, over QUIC. The statistics of both are one.
	HTTP3 bool
}

// UseOfListener reads the name of a listener.
func UseOfListener(name string) ListenerUse {
	id, second := strings.CutSuffix(name, http3Suffix)
	return ListenerUse{Listener: id, HTTP3: second}
}

// poolClusterName names the cluster of a pool with Octavia's default connect timeout. It does not depend on listeners.
func poolClusterName(pool *model.Pool) string { return pool.ID }

// pairClusterName names the cluster of a pool as one listener uses it.
func pairClusterName(pool *model.Pool, listener *model.Listener) string {
	return pool.ID + ":" + listener.ID
}

// ownClusterName names the cluster that follows the default pool of a listener without routes.
func ownClusterName(listener *model.Listener) string {
	if listener.Protocol == model.ProtocolUDP {
		return "udp:" + listener.ID
	}
	return "tcp:" + listener.ID
}

// ClusterUse is what the name of a cluster says.
type ClusterUse struct {
	// Pool is the pool's id; "" of a cluster that follows the default pool of a listener without routes.
	Pool string
	// Listener is the id of the one listener that the cluster is for; "" of one that the listeners of its pool share.
	Listener string
	// UDP says that the cluster is for a UDP listener.
	UDP bool
}

// UseOfCluster reads the name of a cluster.
func UseOfCluster(name string) ClusterUse {
	first, second, both := strings.Cut(name, ":")
	switch {
	case !both:
		return ClusterUse{Pool: name}
	case first == "udp" || first == "tcp":
		return ClusterUse{Listener: second, UDP: first == "udp"}
	}
	return ClusterUse{Pool: first, Listener: second}
}

// StatName is the name of a resource as it stands in names of Envoy's statistics.
func StatName(name string) string { return strings.ReplaceAll(name, ":", "_") }

// endpointName is an endpoint's hostname: by it the agent knows the ids of a member and its pool, since it stands in Envoy's list of
// hosts. Nothing else reads it. Metadata are not in that list, and Envoy 1.40 cannot write out endpoints that have them
// (/config_dump?include_eds) when one is checked by the agent: it crashes on a pipe as the address of checks.
func endpointName(pool *model.Pool, member *model.Member) string { return pool.ID + "/" + member.ID }

// MemberOfEndpoint returns the ids in an endpoint's hostname; ok is false for one that is no member.
func MemberOfEndpoint(name string) (pool, member string, ok bool) {
	pool, member, ok = strings.Cut(name, "/")
	return pool, member, ok && pool != "" && member != ""
}

// serviceHashBytes is enough to tell a cluster from its predecessor: nothing else is looked up by the hash.
const serviceHashBytes = 4

// serviceName returns the EDS service name of a cluster whose own service name is still empty. It changes whenever the
// cluster does, because an Envoy that holds the endpoints already does not ask for them again: under its old name a
// changed cluster would warm until the fetch timeout, 15 s, and under a new one it does so at once.
func serviceName(cluster *clusterv3.Cluster) (string, error) {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(cluster)
	if err != nil {
		return "", fmt.Errorf("marshal cluster %s: %w", cluster.GetName(), err)
	}
	sum := sha256.Sum256(data)
	return cluster.GetName() + "@" + hex.EncodeToString(sum[:serviceHashBytes]), nil
}

// maxIDLength bounds what ends up in names of resources and statistics; Octavia's ids are 36 characters long.
const maxIDLength = 64

// checkID refuses ids that could forge another resource's name or split the name of a statistic.
func checkID(id string) error {
	if id == "" {
		return errors.New("an id is needed")
	}
	if len(id) > maxIDLength {
		return fmt.Errorf("an id has at most %d characters", maxIDLength)
	}
	for _, char := range []byte(id) {
		switch {
		case char >= 'a' && char <= 'z', char >= 'A' && char <= 'Z', char >= '0' && char <= '9', char == '-', char == '_':
		default:
			return errors.New("an id has only letters, digits, - and _")
		}
	}
	return nil
}
