// Package integration tests the xDS server and the publisher with a real Envoy: over mutual TLS, under load, through
// rejections and restarts of either side. It holds tests only.
package integration
