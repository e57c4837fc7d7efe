// Package xds is the parent of all that turns a load balancer into Envoy's configuration and keeps Envoys in step with it.
//
//	tree (driver/model) ─► translate ─► publish ─► server ─► Envoy
//	                       pure         phases     delta ADS
//	                                    bootstrap ─────────► what Envoy starts with: who it is and where the server is
//
// These packages alone import go-control-plane. See each package's own documentation.
package xds
