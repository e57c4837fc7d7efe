package local

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// firstReturn is the number of the first routing table for returns, and the priority of its rule. The namespace is ours:
// nobody else has any.
const firstReturn = 100

// route gives the namespace its routes: the main table is for what the amphora begins, and the others for the answers of
// VIPs that share a family.
func (p *Plumber) route(drawn *plan, inside *netlink.Handle, link netlink.Link) error {
	index := link.Attrs().Index
	for _, route := range drawn.Routes {
		if err := replaceRoute(inside, index, route, drawn.source(route.NextHop), 0); err != nil {
			return err
		}
	}
	for _, gateway := range drawn.Gateways {
		if err := replaceRoute(inside, index, defaultRoute(gateway), drawn.source(gateway), 0); err != nil {
			// Members on the VIP's own subnet do not need it.
			p.options.Logger.Warn("no default route", "amphora", drawn.AmphoraID, "gateway", gateway, "error", err)
		}
	}
	for i, back := range drawn.Returns {
		if err := routeBack(inside, index, firstReturn+i, back); err != nil {
			return fmt.Errorf("answers of %s: %w", back.VIP.Addr(), err)
		}
	}
	return nil
}

// routeBack fills a routing table and has what comes from the VIP look there first.
func routeBack(inside *netlink.Handle, index, table int, back planReturn) error {
	vip := back.VIP.Addr()
	err := inside.RouteReplace(&netlink.Route{
		LinkIndex: index, Dst: ipNet(back.VIP.Masked()), Src: vip.AsSlice(), Scope: netlink.SCOPE_LINK, Table: table,
	})
	if err != nil {
		return fmt.Errorf("route to %s: %w", back.VIP.Masked(), err)
	}
	routes := back.Routes
	if back.Gateway.IsValid() {
		routes = append(slices.Clip(routes), defaultRoute(back.Gateway))
	}
	for _, route := range routes {
		if err := replaceRoute(inside, index, route, vip, table); err != nil {
			return err
		}
	}
	rule := netlink.NewRule()
	rule.Src, rule.Table, rule.Priority = ipNet(netip.PrefixFrom(vip, vip.BitLen())), table, table
	rule.Family = unix.AF_INET
	if vip.Is6() {
		rule.Family = unix.AF_INET6
	}
	return ensureRule(inside, rule)
}

// ensureRule adds a rule in the place of others of its priority: an amphora's VIPs do not change, their order in a plan may.
func ensureRule(inside *netlink.Handle, rule *netlink.Rule) error {
	rules, err := inside.RuleList(rule.Family)
	if err != nil {
		return fmt.Errorf("routing rules: %w", err)
	}
	for i := range rules {
		other := &rules[i]
		if other.Priority != rule.Priority {
			continue
		}
		if other.Table == rule.Table && other.Src != nil && other.Src.String() == rule.Src.String() {
			return nil
		}
		if err := inside.RuleDel(other); err != nil {
			return fmt.Errorf("stale routing rule %s: %w", other, err)
		}
	}
	if err := inside.RuleAdd(rule); err != nil {
		return fmt.Errorf("routing rule %s: %w", rule, err)
	}
	return nil
}

// replaceRoute makes a route by a next hop, from a VIP; table 0 is the main one.
func replaceRoute(inside *netlink.Handle, index int, route planRoute, from netip.Addr, table int) error {
	var source net.IP
	if from.IsValid() {
		source = from.AsSlice()
	}
	err := inside.RouteReplace(&netlink.Route{
		LinkIndex: index, Dst: ipNet(route.Destination), Gw: route.NextHop.AsSlice(), Src: source, Table: table,
		// Neutron takes gateways that are not on the subnet.
		Flags: int(netlink.FLAG_ONLINK),
	})
	if err != nil {
		return fmt.Errorf("route to %s by %s: %w", route.Destination, route.NextHop, err)
	}
	return nil
}

func defaultRoute(gateway netip.Addr) planRoute {
	everything := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if gateway.Is6() {
		everything = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return planRoute{Destination: everything, NextHop: gateway}
}
