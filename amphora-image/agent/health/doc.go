// Package health tells how the members of pools with a health monitor are, as this amphora's Envoy acts on it, and which
// listeners are full. Envoy checks and decides; this only says so. See HEALTH.md.
//
//	Envoy's event log ──────► Watcher ─► Tracker ─► Next: what has changed, or the whole
//	/clusters, now and then ─►              ▲
//	statistics' readings ── Listeners() ────┘
package health
