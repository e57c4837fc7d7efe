// Package translate turns Octavia's tree of one load balancer into Envoy's resources.
//
//	model.LoadBalancer ─► LoadBalancer() ─► Resources{Listeners, Routes, Clusters, Endpoints, Secrets, Owners}
//
// It is pure: no clock, no network, no state. The same tree gives the same bytes, so that a version can be a hash of them
// and a restarted controller pushes nothing.
//
// Every listener and pool is translated by itself, and sees of the load balancer only the facts, of the pools only those that it
// refers to, and their members only where its resources hold them (dependsOnMembers). That is what a Translator builds on, which
// does the same work again and again: of what it has seen the same of before, it takes the former resources, bytes and all.
// What is to depend on something else has to have that in its inputs, see facts and assembly; TestTranslatorIsFresh fails otherwise.
//
// # What depends on what
//
// A listener's bytes hold nothing of pools and members, because Envoy drains a listener that changes:
//
//   - a member touches the ClusterLoadAssignments of its pool and nothing else (EDS), but that the routes to a pool with
//     HTTP_COOKIE or APP_COOKIE list its members by id (RDS), see session.go;
//   - the default pool of an HTTP listener touches its RouteConfiguration and nothing else (RDS);
//   - so do its L7 policies and rules, whatever they compare, and the headers that it inserts: a rule is a matcher of what
//     is in every request, and no filter of the listener prepares anything for it. A listener that authenticates its
//     clients has the name in their certificates in a header that routes see, and a script disabled, see clientHeaders;
//   - the default pool of a TCP or HTTPS listener touches its own cluster's ClusterLoadAssignment, and the cluster itself
//     when the pools differ in algorithm, persistence or PROXY protocol. There is no RDS for TCP: a tcp_proxy names its cluster in the listener. So each
//     such listener has a cluster of its own, named for the listener, whose endpoints follow the default pool. Seen with
//     Envoy 1.40: connections opened before outlive the replacement of all endpoints, of the cluster, and its removal,
//     where another cluster name in the filter chain would close them after the drain time. UDP is alike;
//   - a health monitor is in the clusters of its pool, and a change of it replaces them: the old one serves until the new one has
//     had as many results of checks as it has members. Who is checked where is in the endpoints, see MONITORS.md;
//   - what a pool's algorithm and persistence need of a listener is there beforehand: a hash of the source that only
//     clusters with a hashing algorithm ask for, and HTTP filters that are disabled until a route enables them. The one
//     exception is SOURCE_IP_PORT behind TCP and HTTPS listeners, see tcpHash;
//   - the access log of a listener knows nothing but the listener: pool and member come from the metadata of clusters and
//     endpoints, which have them only then, and a policy from the name of its route;
//   - allowed CIDRs are in the listener and outside of its filter chain: a change of them drains nothing, see
//     filterChainMatcher. For UDP they end the sessions, as any change of a UDP listener does.
//
// # Flavors
//
// A flavor asks for what Octavia's API has no words for. It is fixed for the life of a load balancer, so it may be in any
// resource, and each of its groups is a small file: takeFlavor has the table of what goes where. Without a flavor every
// resource is, to the byte, what it would be if there were none. One that cannot be read is an error of the load balancer,
// whose listeners stay and serve without it. Two things to know: a request that may not be carried out twice is tried again
// only where its member cannot have carried it out (retryRoutes), and with outlier detection a pool's cluster changes when
// it gets its second member or loses it (outlierDetection).
//
// # Admin states and what is missing
//
//   - A load balancer or listener that is down has no Listener and no RouteConfiguration. The clusters stay, warm.
//   - A pool that is down has its clusters without endpoints: HTTP answers 503, TCP accepts and closes, as HAProxy does.
//     To take it down or up again is an EDS change.
//   - A member that is down is left out. One with weight 0 is DRAINING: it keeps what it has and gets nothing new.
//   - A listener without a default pool answers 503 by a direct response (HTTP) or has an empty cluster (TCP: accepts and
//     closes). Envoy's own answer would be a 404.
//   - A pool that no listener uses has its cluster all the same: Envoy can refuse it before traffic depends on it, and to
//     use it adds nothing. With a monitor that is up it has none, and neither has a listener that is down: nobody is checked
//     for nothing, see dropUnused.
//
// # Errors
//
// LoadBalancer returns what is good together with a joined error of one *ValidationError for each thing that is not
// (see Problems). What is left out is the smallest object that does not let in what its user closed: a bad member leaves
// its pool serving and an unsupported health monitor leaves it unchecked, but an L7 policy, a CIDR list or a certificate
// that cannot be had takes its listener down. A listener whose pool is bad stays, without a pool. Nothing unsupported is
// ever dropped in silence, and it is reported whatever the admin state is.
package translate
