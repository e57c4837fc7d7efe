// Package local is the compute driver whose machines are network namespaces of this machine: it runs the same agent and
// Envoy as an amphora's image does, as processes. It is the embedded default, and what tests and the demo run on.
//
//	<state dir>/<amphora id>/agent.json, agent.log, agent.pid, tls/   survive a reboot
//	…/log/access.log, access.log.000001, …                            the same, of a flavor with access_log
//	<run dir>/<amphora id>/   admin.sock, envoy.pid, bootstrap, …     the agent's own
//
// Agent and Envoy have a session of their own and outlive the controller; the next controller finds them again.
package local
