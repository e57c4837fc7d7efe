package capabilities

import (
	"net/netip"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// allowedCIDRs checks the CIDRs whose clients a listener serves. Octavia itself holds their families against the VIPs'.
func (c *checker) allowedCIDRs(o object, l *model.Listener) {
	for _, cidr := range l.AllowedCIDRs {
		if _, err := netip.ParsePrefix(cidr); err != nil {
			c.invalid(o, "allowed_cidrs", "allowed_cidrs must be addresses with the length of a prefix, as 192.0.2.0/24, not %q.", clip(cidr))
		}
	}
}
