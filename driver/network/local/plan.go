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

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
)

// plan is what an amphora's namespace has to look like.
type plan struct {
	AmphoraID string         `json:"amphora_id"`
	NetworkID string         `json:"network_id"`
	MAC       string         `json:"mac"`
	Addresses []netip.Prefix `json:"addresses"`
	// Gateways are at most one a family.
	Gateways []netip.Addr `json:"gateways"`
	Routes   []planRoute  `json:"routes"`
	// MTU is in bytes; 0 is the kernel's default.
	MTU int `json:"mtu"`
}

type planRoute struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"next_hop"`
}

// draw makes the plan of a load balancer's VIP from what Neutron knows of its port.
func draw(ctx context.Context, info Info, amphoraID string, loadBalancer *model.LoadBalancer) (*plan, error) {
	port, err := info.PortInfo(ctx, loadBalancer.VIPPortID)
	if err != nil {
		return nil, err
	}
	vip, err := netip.ParseAddr(loadBalancer.VIPAddress)
	if err != nil {
		return nil, fmt.Errorf("VIP address: %w", err)
	}
	drawn := &plan{AmphoraID: amphoraID, NetworkID: port.NetworkID, MAC: port.MAC}
	found := false
	for _, fixed := range port.FixedIPs {
		subnet, err := info.SubnetInfo(ctx, fixed.SubnetID)
		if err != nil {
			return nil, err
		}
		found = found || fixed.Address == vip
		drawn.Addresses = append(drawn.Addresses, netip.PrefixFrom(fixed.Address, subnet.CIDR.Bits()))
		drawn.MTU = subnet.MTU
		if subnet.Gateway.IsValid() && !drawn.hasGateway(subnet.Gateway.Is4()) {
			drawn.Gateways = append(drawn.Gateways, subnet.Gateway)
		}
		for _, route := range subnet.HostRoutes {
			drawn.Routes = append(drawn.Routes, planRoute(route))
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: port %s does not have the VIP's address %s", network.ErrInvalid, port.ID, vip)
	}
	return drawn, nil
}

func (p *plan) hasGateway(v4 bool) bool {
	for _, gateway := range p.Gateways {
		if gateway.Is4() == v4 {
			return true
		}
	}
	return false
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
