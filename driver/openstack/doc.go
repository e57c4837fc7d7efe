// Package openstack logs the controller in to Keystone and hands out the clients of the services that it uses.
//
//	network ─► Client.Network      ─┐
//	resync  ─► Client.LoadBalancer ─┴─► one login, at first use ─► Keystone
//
// Nothing is asked before somebody needs it, so that a controller starts, and its amphorae serve, while Keystone is down.
package openstack
