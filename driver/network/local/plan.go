package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
)

// plan is what an amphora's namespace has to look like.
type plan struct {
	AmphoraID string `json:"amphora_id"`
	NetworkID string `json:"network_id"`
	MAC       string `json:"mac"`
	// Addresses are the VIPs, the load balancer's own first, each with the length of its subnet's prefix.
	Addresses []netip.Prefix `json:"addresses"`
	// Gateways are at most one a family: the way to what is on none of the subnets.
	Gateways []netip.Addr `json:"gateways"`
	Routes   []planRoute  `json:"routes"`
	// Returns are there for a family with several VIPs, one for each.
	Returns []planReturn `json:"returns,omitempty"`
	// MTU is in bytes; 0 is the kernel's default.
	MTU int `json:"mtu"`
}

type planRoute struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"next_hop"`
}

// planReturn is how what comes from a VIP leaves: by the gateway and the host routes of its own subnet, so that an answer
// takes the way that its request came. The gateway of another subnet may drop it as forged.
type planReturn struct {
	VIP netip.Prefix `json:"vip"`
	// Gateway is not valid if the subnet has none.
	Gateway netip.Addr  `json:"gateway"`
	Routes  []planRoute `json:"routes"`
}

// draw makes the plan of a load balancer's VIPs from what Neutron knows of their port. Of the port's addresses only those
// are in it that are VIPs: a user's port may have others, and Neutron adds one of every SLAAC subnet by itself.
func draw(ctx context.Context, info Info, amphoraID string, loadBalancer *model.LoadBalancer) (*plan, error) {
	port, err := info.PortInfo(ctx, loadBalancer.VIPPortID)
	if err != nil {
		return nil, err
	}
	vips, err := addressesOf(loadBalancer)
	if err != nil {
		return nil, err
	}
	drawn := &plan{AmphoraID: amphoraID, NetworkID: port.NetworkID, MAC: port.MAC}
	for _, vip := range vips {
		at := slices.IndexFunc(port.FixedIPs, func(fixed network.FixedIP) bool { return fixed.Address == vip })
		if at < 0 {
			return nil, fmt.Errorf("%w: port %s does not have the VIP's address %s", network.ErrInvalid, port.ID, vip)
		}
		subnet, err := info.SubnetInfo(ctx, port.FixedIPs[at].SubnetID)
		if err != nil {
			return nil, err
		}
		drawn.add(vip, subnet)
	}
	drawn.dropLoneReturns()
	return drawn, nil
}

// addressesOf returns a load balancer's VIPs, its own first and the others in an order of ours: Octavia's database has none.
func addressesOf(loadBalancer *model.LoadBalancer) ([]netip.Addr, error) {
	first, err := netip.ParseAddr(loadBalancer.VIPAddress)
	if err != nil {
		return nil, fmt.Errorf("VIP address: %w", err)
	}
	others := make([]netip.Addr, 0, len(loadBalancer.AdditionalVIPs))
	for _, vip := range loadBalancer.AdditionalVIPs {
		address, err := netip.ParseAddr(vip.IPAddress)
		if err != nil {
			return nil, fmt.Errorf("additional VIP address: %w", err)
		}
		others = append(others, address)
	}
	slices.SortFunc(others, netip.Addr.Compare)
	return append([]netip.Addr{first}, others...), nil
}

// add brings a VIP into the plan, with what its subnet says of routes. Where two subnets disagree, the earlier VIP's is right.
func (p *plan) add(vip netip.Addr, subnet network.SubnetInfo) {
	address := netip.PrefixFrom(vip, subnet.CIDR.Bits())
	back := planReturn{VIP: address, Gateway: subnet.Gateway}
	p.Addresses = append(p.Addresses, address)
	if subnet.MTU > 0 {
		p.MTU = subnet.MTU
	}
	if subnet.Gateway.IsValid() && !slices.ContainsFunc(p.Gateways, sameFamily(subnet.Gateway)) {
		p.Gateways = append(p.Gateways, subnet.Gateway)
	}
	for _, route := range subnet.HostRoutes {
		back.Routes = append(back.Routes, planRoute(route))
		known := func(other planRoute) bool { return other.Destination == route.Destination }
		if !slices.ContainsFunc(p.Routes, known) {
			p.Routes = append(p.Routes, planRoute(route))
		}
	}
	p.Returns = append(p.Returns, back)
}

// dropLoneReturns leaves the main routing table alone where there is nothing to choose: it has the routes of all subnets.
func (p *plan) dropLoneReturns() {
	var several []planReturn
	for i, back := range p.Returns {
		others := slices.Concat(p.Addresses[:i], p.Addresses[i+1:])
		family := sameFamily(back.VIP.Addr())
		if slices.ContainsFunc(others, func(other netip.Prefix) bool { return family(other.Addr()) }) {
			several = append(several, back)
		}
	}
	p.Returns = several
}

// source returns the VIP that what goes to a next hop by the main routing table comes from: the one on the hop's subnet,
// else the first of its family.
func (p *plan) source(hop netip.Addr) netip.Addr {
	for _, address := range p.Addresses {
		if address.Masked().Contains(hop) {
			return address.Addr()
		}
	}
	family := sameFamily(hop)
	if i := slices.IndexFunc(p.Addresses, func(a netip.Prefix) bool { return family(a.Addr()) }); i >= 0 {
		return p.Addresses[i].Addr()
	}
	return netip.Addr{}
}

func sameFamily(address netip.Addr) func(netip.Addr) bool {
	return func(other netip.Addr) bool { return other.Is4() == address.Is4() }
}

func (p *Plumber) planPath(amphoraID string) string {
	return filepath.Join(p.options.StateDir, amphoraID+".json")
}

func (p *Plumber) savePlan(drawn *plan) error {
	data, err := json.MarshalIndent(drawn, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.options.StateDir, 0o700); err != nil {
		return err
	}
	return certs.WriteFile(p.planPath(drawn.AmphoraID), append(data, '\n'), 0o600)
}

// loadPlan returns nil when there is none.
func (p *Plumber) loadPlan(amphoraID string) (*plan, error) {
	data, err := os.ReadFile(p.planPath(amphoraID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var loaded plan
	if err := json.Unmarshal(data, &loaded); err != nil {
		return nil, fmt.Errorf("%s: %w", p.planPath(amphoraID), err)
	}
	return &loaded, nil
}

func (p *Plumber) removePlan(amphoraID string) error {
	if err := os.Remove(p.planPath(amphoraID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
