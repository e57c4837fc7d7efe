// Package soak changes a load balancer at random, in every way that users have, under traffic of every kind, and looks
// afterwards whether all is as it should be. It holds tests only.
//
//	go test ./test/soak                                                 # two minutes, in CI
//	OE_SOAK=1h go test -timeout 0 -v -artifacts ./test/soak             # by hand; -artifacts keeps the controller's log
//	OE_SOAK_SEED=17… OE_SOAK_KINDS='listener|member' go test -v ./test/soak
//
// OE_SOAK is how long changes are made; checks between them and at the end come on top. The seed, which each run prints, repeats the
// choices, not the timing. OE_SOAK_KINDS chooses changes by a regular expression.
//
//	octavia (in the test): trees, statuses, locks ── REST API, get.sock, status.sock, stats.sock
//	   │ provider API, unix socket                              │
//	   ▼                                                        ▼
//	controller (this test's binary, a process): API, store, reconcile, translate, publish, xds/server, status, health,
//	   │ a relay that can be cut                 statistics, resync; wired as `octavia-envoy serve`, see controller_test.go
//	   ▼
//	amphora-agent and Envoy, as driver/amphora/local starts them, but in this machine's network: VIPs are addresses of 127/8
//
// A call is made as octavia-api makes it: in a transaction that is rolled back unless the provider accepts, of what nobody else
// waits for, and not before everything is unlocked. While one is under way, things happen at times: the controller is stopped or killed,
// streams are cut, the agent is killed, Envoy stands still for a second or two, another load balancer is created, fails over or
// is deleted in a cascade, something is asked for that is to be refused.
//
// # What is checked
//
//   - Listeners, pools and members whose names begin with "bystander" are changed by nobody: not an exchange of theirs may fail, and
//     not a datagram may be lost. Requests are POSTs, which net/http does not send a second time.
//   - Those named "played" serve all the time. New connections and requests never fail. Long TCP connections and WebSockets may end
//     where xds/translate/CHANGES.md says that a listener drains. Datagrams are numbered; see below.
//   - Between the parts of a run: what Envoy has of listeners, routes and clusters is, text by text, what the tree in Octavia is
//     translated to; secrets by the hash of their content; endpoints by Envoy's own list. Every object is ACTIVE, and operates as
//     it does where all members answer. Nothing was ever reported to be in ERROR.
//   - Goroutines and heap of the controller, which is not restarted in the second half, and Envoy's memory and number of
//     statistics, all at the same configuration: what is not given back grows as much in the second half as in the first.
//   - At the end all is deleted: no process, file, intent or message is left. The resync never had anything to do.
//
// The agent answers /metrics of PROMETHEUS listeners: while it is dead these say 503, and are not held against anyone.
//
// # Datagrams that are lost
//
// Members tell which datagrams they got. All have to come to one, whatever is changed. A UDP session ends with its listener, its cluster
// (a health monitor, an algorithm) and its member, and takes with it the answers that are under way, see xds/translate/CHANGES.md. Of a
// client that sends every 50 ms and has its answer in one, mostly none: the test allows one a socket and change. It is as long as
// Envoy has not run if it was stopped, or has had no processor, when the session ends: answers to what was sent while it was stopped are
// counted apart, and may be lost. Bystanders lose none of all these.
package soak
