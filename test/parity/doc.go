// Package parity holds what our Envoy does against what the amphora driver's HAProxy does.
//
//	seed ─► load balancers ─┬─ render.py (Octavia's templates) ─► HAProxy ─┐
//	                        └─ xds/translate ───────────────────► Envoy ───┤ the same members
//	seed ─► exchanges ──────── each sent to both ──────────────────────────┘
//
// It makes random load balancers of whatever driver/capabilities accepts, so it grows as that does, and random requests
// from raw sockets, many of them odd, in clear or by TLS. It compares what the handshakes came to, who answered, the status, the headers and the body that the client got,
// and the request that the member saw. The differences that are known and meant are in differences_*_test.go, each with its
// reason; README.md lists them, and testdata has a case of each. Any other fails, and is made small first: objects leave the
// load balancer and headers the request for as long as the difference stays.
//
//	make parity                                     200 load balancers, 50 exchanges with each
//	PARITY_SEED=7 PARITY_COUNT=10 make parity       others, fewer
//	PARITY_SEED=7 PARITY_FIRST=43 PARITY_COUNT=1    one of those again
//	go test ./test/parity                           10 load balancers, 20 exchanges with each: what CI runs
//
// The tests run in a network namespace of their own, which ends with them.
package parity
