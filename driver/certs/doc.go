// Package certs is the amphora certificate authority: it issues the certificates with which the controller, its amphorae,
// its operators and octavia-api's shim prove to each other who they are. Every control connection is TLS 1.3 with both
// sides authenticated.
//
//	ca.crt, ca.key ─► Authority ─► controller's server certificate   DNS controller.octavia-envoy
//	                            ─► amphora's client certificate      URI octavia-envoy://amphora/<id>
//	                            ─► operator's client certificate     URI octavia-envoy://operator/<name>
//	                            ─► shim's client certificate         URI octavia-envoy://api/<name>
//
// Who a peer is stands in its URI subject alternative name (RFC 5280, 4.2.1.6) and nowhere else; see Identity. Client
// certificates carry no server usage, so that a stolen amphora cannot pretend to be the controller.
package certs
