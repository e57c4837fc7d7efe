// Package publish brings a load balancer's resources to its amphorae without losing a request.
//
//	translate.Resources ─► widen ─► warm ─► shift ─► warm ─► narrow ─► Result
//
// Each phase waits for the one before, because Envoy applies clusters, endpoints, listeners and routes independently:
//
//	widen   clusters, endpoints and secrets are added and updated; wait for their ACK
//	warm    Envoy has the endpoints and the first health checks of every new cluster, the routes and secrets of every
//	        new listener; the ACK of a listener does not say that. (The ACK of clusters does: Envoy 1.40 holds it back
//	        while any cluster is warming.)
//	shift   routes and listeners are added and updated, and so the traffic; wait for their ACK, and warm again
//	narrow  listeners, then clusters and routes, then the rest, are removed; a listener whose address another one takes has
//	        gone with the shift, as Envoy has no two at an address; so has one of which only the name is known, if another
//	        one is new
//
// Each has a deadline. When Envoy is not done with the clusters in time, all but the traffic to these moves (not being done is more
// than having no ACK: one that warms keeps back those of its neighbours, which may have all that they need), and nothing is removed: the caller tries again, and every later Publish goes on from there, or takes back what was late. When routes,
// listeners or the second warming are late, what they replace is not removed.
//
// A phase with nothing in it is skipped: a changed member is one push of endpoints and its ACK.
//
// Envoy gives an endpoint with health checks no traffic before its first check. Where a change would leave a cluster without
// one that has been found good, widen leaves the former endpoints beside the new, and a last phase, relieve, takes them away when
// one of the new serves, all have been checked, or it is time (10 s at most).
//
// What Envoy refuses is taken back to the last version that it acknowledged, and everything else goes on. What such an
// older version refers to is not removed.
package publish
