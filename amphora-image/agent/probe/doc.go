// Package probe is the bridge between Envoy's health checks and what Envoy cannot check itself:
//
//	Envoy's HTTP health checker ─ GET /PING?timeout_ms=5000, Host: 10.0.0.5:80 ─► probe.sock ─► one check of that member
//	                            ◄─ 200, or 503 and the reason in one line ──────
//
// Envoy decides when to check, counts rises and falls and takes members out of traffic; the agent keeps nothing between
// two checks, and neither needs the controller. README.md has the protocol, what each check means compared with Octavia's
// amphora provider, the bounds, and figures.
package probe
