// Package e2e drives the real thing: a real octavia-api, driver-agent, Keystone, Neutron and MariaDB, the controller as a
// process of its own, real amphorae in network namespaces, and real traffic through Envoy. Only its tests hold code.
//
// `make e2e` brings the cloud up and runs it; see test/cloud for what is up then.
package e2e
