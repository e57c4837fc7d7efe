// Package agent is what runs on an amphora: it starts Envoy and keeps it running, tells the controller how Envoy is, and
// renews the amphora's certificate. It decides nothing; Envoy's listeners and clusters come from the controller by xDS.
//
//	                 ┌── supervisor: start, adopt, restart with backoff ──► Envoy ◄── xDS ──┐
//	config.json ──► Run                                                     │ admin.sock   │
//	                 ├── session: Hello, heartbeats, probes ◄───────────────┘              │
//	                 │       └── mTLS, gRPC ───────────────────────────────────────► controller
//	                 ├── metrics: the load balancer's own, on metrics.sock for PROMETHEUS listeners ◄── admin.sock
//	                 ├── accesslog: bounds what Envoy writes to access.log, sends it to syslog receivers
//	                 ├── renewer: new key and certificate at two thirds of life, watched by Envoy
//	                 └── log: what Envoy says, as slog lines
//
// Envoy outlives its agent: when the agent is killed, Envoy goes on serving, and the next agent adopts it. Only a clean
// stop of the agent (SIGTERM, or the controller's Shutdown) stops Envoy.
package agent
