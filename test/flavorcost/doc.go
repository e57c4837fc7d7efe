// Package flavorcost measures what settings of a flavor cost a real Envoy:
//
//	go test -run '^$' -bench . -benchtime 1x ./test/flavorcost
//
// Each benchmark runs two Envoys, one with the setting and one without, and gives them the same requests in turns. What it
// reports is the ratio of the CPU time that the two have spent, over all and the median of all turns, and of the bytes that
// clients got: a machine that is busy with other things makes both slower alike. How far the ratio of "the same twice" is from 1
// is how far the others are to be trusted. HTTP/3 is held against HTTP/2 at one Envoy.
package flavorcost
