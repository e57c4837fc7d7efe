// Package statistics gives Octavia the five counters of each listener.
//
//	amphora.Fleet ─ StatisticsReport ─► Collector.Report ─► take (pure) ─► store ─► Collector.Run ─► stats.sock
//	                                                                         └────► Snapshot ─► metrics
//
// Octavia wants totals that never begin anew: of an Envoy that is started again, of an amphora that another replaces, of a
// listener that was disabled for a while. An Envoy counts from 0 each time. So the store keeps for each amphora what it said
// last and what had been counted before that, and whatever is repeated, late or lost on the way changes nothing.
package statistics
