package capabilities

import (
	"fmt"
	"net/netip"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// maxWeight is Octavia's and HAProxy's.
const maxWeight = 256

func memberRefusals() []refusal[model.Member] {
	return []refusal[model.Member]{
		{
			"vnic_type", func(m *model.Member) bool { return m.VNICType != "" && m.VNICType != "normal" },
			"SR-IOV ports of members are not supported; create the member without request_sriov.",
		},
	}
}

func (c *checker) member(pool object, i int, p *model.Pool, m *model.Member, taken map[netip.AddrPort]string) {
	o := pool.child(model.KindMember, m.ID, fmt.Sprintf("members[%d]", i))
	c.identity(o, "member_id", "pool_id", m.PoolID, p.ID)
	c.between(o, "protocol_port", m.ProtocolPort, minPort, maxPort, "")
	c.between(o, "weight", m.Weight, 0, maxWeight, "")
	// Where health checks go; without a health monitor they say nothing.
	if m.MonitorPort != 0 {
		c.between(o, "monitor_port", m.MonitorPort, minPort, maxPort, "")
	}
	if _, ok := parseIP(m.MonitorAddress); m.MonitorAddress != "" && !ok {
		c.invalid(o, "monitor_address", "monitor_address must be an IPv4 or IPv6 address, not %q.", clip(m.MonitorAddress))
	}
	refuse(c, o, m, memberRefusals())
	address, ok := parseIP(m.Address)
	if !ok {
		c.invalid(o, "address", "address must be an IPv4 or IPv6 address, not %q.", clip(m.Address))
		return
	}
	endpoint := netip.AddrPortFrom(address, uint16(m.ProtocolPort)) //nolint:gosec // out of range is reported above
	if other, duplicate := taken[endpoint]; duplicate {
		c.invalid(o, "address", "%s is in the pool already, as the member %s.", endpoint, plain(other))
		return
	}
	taken[endpoint] = m.ID
}

// parseIP parses an address without a zone: a zone names an interface of this machine.
func parseIP(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(text)
	return address.Unmap(), err == nil && address.Zone() == ""
}
