// Package tlscost measures what TLS costs: full handshakes, against HAProxy as Octavia's amphora driver configures it, and
// memory and failures while certificates rotate under load. README.md has results.
//
//	go test -run '^$' -bench . -benchtime 1x ./test/tlscost
//
// Both proxies have one thread and the same certificate, and are given the same connections in turns. What it reports is the
// ratio of the CPU time that they have spent, which a machine that is busy with other things changes little: handshakes per
// second and core are its inverse. These clients keep no sessions, so that every handshake is a full one, and check that it was.
package tlscost
