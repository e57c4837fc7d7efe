// Package server speaks xDS with the amphorae: delta ADS over mutual TLS, and knows what each of them has acknowledged.
//
//	publish ─► Update ─► node (what it shall hold) ─► stream ─► Envoy
//	publish ◄─ Wait ◄── node (what it says it holds) ◄─ ACK, NACK
//
// go-control-plane's delta server runs the protocol's loop. What the amphorae shall hold, and what they hold, is kept
// here in one small structure a node, instead of go-control-plane's LinearCache, because an amphora's traffic depends on
// four things that the caches do otherwise:
//
//   - A node or type that nobody has set yet stays silent. A cache would answer "you have nothing", and Envoy obey.
//   - What Envoy holds and we do not know (after a restart of the controller with newer state) stays until it is removed
//     on purpose, behind the traffic. A cache removes it in its first answer, in front of the traffic.
//   - A name that is subscribed again is sent again, as the protocol says; see
//     https://github.com/envoyproxy/go-control-plane/issues/1450.
//   - After a NACK of several routes, endpoints or secrets in one message, each is sent alone: Envoy stops at the first
//     bad one, and neither names it nor says which of the others it took. After that of several clusters or listeners, the
//     good ones are sent again: Envoy uses them, but would not count them among what it holds when it reconnects.
//
// The port must not be opened before the store has been loaded: main calls Serve only then.
package server
