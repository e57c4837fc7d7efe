// Package healthcost measures health monitors: how long after a member's death traffic avoids it, and after its return
// meets it, and what checks cost, each against HAProxy as Octavia's amphora driver configures it. README.md has results.
//
//	test/cloud/cloud prepare --tests
//	go test -run '^$' -bench . -benchtime 1x ./test/healthcost
//
// Both proxies have one thread and the same members. A member takes clients and checks at different ports
// (monitor_port), so that one whose checks fail goes on serving whoever is sent to it, and clients see to the millisecond
// until when they are.
//
// Times are given as parts of delay × max_retries_down, or delay × max_retries for the return. A member dies at any
// moment between two checks, and the first of those that count comes half a delay later on average: so a proxy
// that counts as it should has (n − ½) / n, and from (n − 1) / n to 1.
package healthcost
