// Package reconcile turns accepted provider calls into what the amphorae serve, one load balancer at a time.
//
//	store.Intents ─► commit barrier ─► get.sock: the tree ─► status.Plan ─► amphora.Ensure ─► translate ─► publish ─► store.Finish
//	                                                                                                       (outbox ─► status.Sender)
//
// It is level-triggered: an intent says that something changed, the tree that is read from Octavia says what. So an
// attempt may stop anywhere, by an error or by kill -9, and the next one starts over from the same intents.
//
// The store's tree is the last one that was published: a controller that starts gives its xDS caches that tree, and so
// pushes nothing to amphorae that already have it. What is on the way comes from the unfinished intents.
package reconcile
