// Package local realises VIPs on this machine, for amphorae that are processes: the embedded default, and what tests and
// the demo run on.
//
//	Neutron network ─► bridge oe<first 11 hex digits of its id>, no address, in the root namespace
//	amphora         ─► namespace oe-<amphora id>, under /run/netns: `ip netns exec` enters it
//	VIP port        ─► veth pair oa<hash> (on the bridge) ── vip0 (in the namespace, with the port's MAC and all VIPs)
//	VIPs of one family ─► a routing table for each: an answer leaves by the gateway of its own subnet
//
// Members and clients join a network by a port on its bridge. What was plugged is written down before, so that it can be
// plugged again without Neutron after a reboot, and unplugged without a trace.
package local
