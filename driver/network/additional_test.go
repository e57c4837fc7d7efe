package network_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
)

// dual asks for a VIP on subnet4 and additional ones.
func dual(additional ...model.AdditionalVIP) model.VIPRequest {
	made := request(model.VIP{SubnetID: subnet4})
	made.AdditionalVIPs = additional
	return made
}

// TestAdditionalVIPsShareThePort makes one port for three subnets of both families.
func TestAdditionalVIPsShareThePort(t *testing.T) {
	f := newFixture(t)
	req := dual(model.AdditionalVIP{SubnetID: subnet6, IPAddress: "2001:DB8::0:50"}, model.AdditionalVIP{SubnetID: other4, NetworkID: networkID})
	result, err := f.AllocateVIP(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	asked := []any{
		map[string]any{"subnet_id": subnet4},
		map[string]any{"subnet_id": subnet6, "ip_address": "2001:DB8::0:50"},
		map[string]any{"subnet_id": other4},
	}
	if have := f.api.bodies[0]["fixed_ips"]; fmt.Sprint(have) != fmt.Sprint(asked) {
		t.Errorf("asked Neutron for %v, want %v", have, asked)
	}
	vip := result.VIP
	if vip.Address != "203.0.113.7" || vip.SubnetID != subnet4 || vip.NetworkID != networkID || !vip.OctaviaOwned {
		t.Errorf("VIP is %+v", vip)
	}
	if want := []model.AdditionalVIP{
		{IPAddress: "2001:DB8::0:50", SubnetID: subnet6, NetworkID: networkID, PortID: vip.PortID},
		{IPAddress: "198.51.100.7", SubnetID: other4, NetworkID: networkID, PortID: vip.PortID},
	}; !slices.Equal(result.AdditionalVIPs, want) {
		t.Errorf("additional VIPs are %+v, want %+v", result.AdditionalVIPs, want)
	}
	info, err := f.PortInfo(t.Context(), vip.PortID)
	if err != nil || len(info.FixedIPs) != 3 {
		t.Errorf("PortInfo() = %+v, %v", info, err)
	}

	again, err := f.AllocateVIP(t.Context(), req)
	if err != nil || again.VIP.PortID != vip.PortID || !slices.Equal(again.AdditionalVIPs, result.AdditionalVIPs) {
		t.Errorf("again: %+v, %v", again, err)
	}
	// octavia-api asks again with another address: its transaction was rolled back in between.
	req.AdditionalVIPs[0].IPAddress = "2001:db8::51"
	other, err := f.AllocateVIP(t.Context(), req)
	if err != nil || other.VIP.PortID == vip.PortID || other.AdditionalVIPs[0].IPAddress != "2001:db8::51" || len(f.api.ports) != 1 {
		t.Errorf("with another address: %+v, %v, %d ports", other, err, len(f.api.ports))
	}
	if err := f.DeallocateVIP(t.Context(), req.LoadBalancerID); err != nil || len(f.api.ports) != 0 {
		t.Errorf("left: %v, %v", f.api.ports, err)
	}
}

// TestUsersPortWithManyAddresses is only read, and only what was asked for becomes a VIP.
func TestUsersPortWithManyAddresses(t *testing.T) {
	f := newFixture(t)
	f.api.ports["users"] = map[string]any{
		"id": "users", "network_id": networkID, "device_owner": "", "mac_address": "fa:16:3e:00:00:01",
		"fixed_ips": []map[string]any{
			{"subnet_id": subnet6, "ip_address": "2001:db8::50"},
			{"subnet_id": subnet6, "ip_address": "2001:db8::51"},
			{"subnet_id": subnet4, "ip_address": "203.0.113.50"},
			{"subnet_id": other4, "ip_address": "198.51.100.50"},
		},
	}
	users := func(additional ...model.AdditionalVIP) model.VIPRequest {
		made := request(model.VIP{PortID: "users", NetworkID: networkID, SubnetID: subnet4, Address: "203.0.113.50"})
		made.AdditionalVIPs = additional
		return made
	}
	result, err := f.AllocateVIP(t.Context(), users(model.AdditionalVIP{SubnetID: subnet6, IPAddress: "2001:db8::51", PortID: "users"}))
	if err != nil {
		t.Fatal(err)
	}
	want := []model.AdditionalVIP{{IPAddress: "2001:db8::51", SubnetID: subnet6, NetworkID: networkID, PortID: "users"}}
	if result.VIP.Address != "203.0.113.50" || result.VIP.OctaviaOwned || !slices.Equal(result.AdditionalVIPs, want) {
		t.Errorf("result is %+v", result)
	}
	if len(f.api.bodies) != 0 {
		t.Errorf("made a port: %v", f.api.bodies)
	}
	for name, additional := range map[string]model.AdditionalVIP{
		"address": {SubnetID: subnet6, IPAddress: "2001:db8::52"}, "subnet": {SubnetID: "nope"},
	} {
		_, err = f.AllocateVIP(t.Context(), users(additional))
		if refused := new(network.Error); !errors.As(err, &refused) || !errors.Is(refused.Kind, network.ErrInvalid) ||
			refused.Field != "additional_vips[0].subnet_id" {
			t.Errorf("an %s that the port does not have: %v", name, err)
		}
	}
	// The VIP's subnet, found by the port alone, is taken.
	own := request(model.VIP{PortID: "users", Address: "203.0.113.50"})
	own.AdditionalVIPs = []model.AdditionalVIP{{SubnetID: subnet4}}
	if _, err := f.AllocateVIP(t.Context(), own); !errors.Is(err, network.ErrInvalid) {
		t.Errorf("twice on one subnet: %v", err)
	}
}

func TestAdditionalVIPErrors(t *testing.T) {
	taken := func(address string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			refuse(w, http.StatusConflict, "IpAddressAlreadyAllocated", "IP address "+address+" already allocated in subnet "+subnet6+".")
		}
	}
	both := dual(model.AdditionalVIP{SubnetID: subnet6, IPAddress: "2001:db8::0005"})
	both.VIP.Address = "203.0.113.50"
	for name, test := range map[string]struct {
		request        model.VIPRequest
		refuse         func(http.ResponseWriter)
		kind           error
		field, message string
	}{
		"no subnet": {
			dual(model.AdditionalVIP{IPAddress: "203.0.113.5"}), nil, network.ErrInvalid, "additional_vips[0].subnet_id",
			"An additional VIP needs a subnet.",
		},
		"the VIP's subnet": {
			dual(model.AdditionalVIP{SubnetID: subnet6}, model.AdditionalVIP{SubnetID: subnet4}), nil, network.ErrInvalid,
			"additional_vips[1].subnet_id", "The subnet " + subnet4 + " has a VIP already; a subnet can have one.",
		},
		"a subnet twice": {
			dual(model.AdditionalVIP{SubnetID: subnet6}, model.AdditionalVIP{SubnetID: subnet6}), nil, network.ErrInvalid,
			"additional_vips[1].subnet_id", "The subnet " + subnet6 + " has a VIP already; a subnet can have one.",
		},
		"another port": {
			dual(model.AdditionalVIP{SubnetID: subnet6, PortID: "p"}), nil, network.ErrInvalid, "additional_vips[0].port_id",
			"An additional VIP is one more address of the VIP's port; leave its port_id out.",
		},
		"another network": {
			dual(model.AdditionalVIP{SubnetID: subnet6, NetworkID: "n"}), nil, network.ErrInvalid, "additional_vips[0].network_id",
			"All VIPs must be on one network, " + networkID + ".",
		},
		"its address is taken": {
			both, taken("2001:db8::5"), network.ErrConflict, "additional_vips[0].ip_address", "The address 2001:db8::0005 is in use.",
		},
		"the VIP's address is taken": {
			both, taken("203.0.113.50"), network.ErrConflict, "vip.vip_address", "The address 203.0.113.50 is in use.",
		},
		"an address that only looks like it": {
			both, taken("203.0.113.5"), network.ErrConflict, "vip", "The address is in use.",
		},
		"SLAAC": {
			both, func(w http.ResponseWriter) {
				refuse(w, http.StatusBadRequest, "AllocationOnAutoAddressSubnet", "IPv6 address 2001:db8::5 can not be directly assigned.")
			}, network.ErrInvalid, "additional_vips[0].ip_address", "IPv6 address 2001:db8::5 can not be directly assigned.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.api.refuse = test.refuse
			_, err := f.AllocateVIP(t.Context(), test.request)
			refused := new(network.Error)
			if !errors.As(err, &refused) || !errors.Is(err, test.kind) || refused.Field != test.field || refused.Message != test.message {
				t.Errorf("got %v, want %s: %s", err, test.field, test.message)
			}
			if len(f.api.ports) != 0 {
				t.Errorf("ports left: %v", f.api.ports)
			}
		})
	}
}
