// Package health tells Octavia what the amphorae see of members and listeners.
//
//	amphora.Fleet ─► Keeper.Hear ─► store: what each amphora sees ─┐
//	                 (coalesced, one write a second)               ├► Keeper settles: status.Difference ─► outbox ─► status.Sender
//	                 store: what Octavia was told ─────────────────┘   (one message waits, with growing pauses)
//
// It is level-triggered: a change says that there is something to see, what is said is the difference between how things
// are and what Octavia was told. So changes that are undone before anybody could say them are never said, the newest wins,
// and a message that is lost by a crash is made again. What is unsettled is noted in the store, in the transaction of the
// change: a controller that starts, or another one, takes it up.
//
// A message costs the driver-agent 140 to 190 ms and some more for each member, and a load balancer may have a thousand of them
// that come and go. The first change is said at once. While changes go on the pauses grow, from a second to ten, and long
// messages have long pauses from the start. What the silence lasts beyond a pause makes the next one shorter, so that changes
// that come one by one, three seconds or more apart, are each said at once. So Octavia is at most ten seconds and one message
// late, and one load balancer with a few members that flap all the time takes a fiftieth of one of the Sender's places, one
// with a thousand a fifth, and one with a change every third second a fifteenth.
//
// An agent reports to the replica that it is connected to, and that one writes. Any replica may settle; the store's lock on
// the load balancer puts them in order.
package health
