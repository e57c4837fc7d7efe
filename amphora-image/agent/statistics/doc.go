// Package statistics follows what Envoy counts for each listener, so that nothing of it is lost but the last second of an Envoy
// that is killed, and nothing is counted twice. See STATISTICS.md for what is counted, and for what Envoy forgets.
//
//	Collector.Run   every second: Envoy's counters ─► epoch, which does not fall when a listener goes and comes back
//	Collector.Next  what to tell the controller now: the last word of Envoys that ended, one after the other; then this Envoy's
package statistics
