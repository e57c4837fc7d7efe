package network_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
	"github.com/octavia-envoy/octavia-envoy/driver/openstack"
)

// TestRealNeutron runs where the variables of an openrc file are set; the e2e tests need a cloud and do not skip.
func TestRealNeutron(t *testing.T) {
	if os.Getenv("OS_AUTH_URL") == "" {
		t.Skip("no OS_AUTH_URL: source an openrc file to run against a real Neutron")
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(os.Getenv("OS_PASSWORD")), 0o600); err != nil {
		t.Fatal(err)
	}
	login := openstack.New(openstack.Credentials{
		AuthURL: os.Getenv("OS_AUTH_URL"), Username: os.Getenv("OS_USERNAME"), PasswordFile: password,
		ProjectName: os.Getenv("OS_PROJECT_NAME"), UserDomainName: os.Getenv("OS_USER_DOMAIN_NAME"),
		ProjectDomainName: os.Getenv("OS_PROJECT_DOMAIN_NAME"), Region: os.Getenv("OS_REGION_NAME"),
	})
	client, err := login.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	net, err := networks.Create(t.Context(), client, networks.CreateOpts{Name: "octavia-envoy-test"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = networks.Delete(t.Context(), client, net.ID).ExtractErr() })
	subnet, err := subnets.Create(t.Context(), client, subnets.CreateOpts{
		NetworkID: net.ID, CIDR: "192.0.2.0/24", IPVersion: 4, Name: "octavia-envoy-test",
	}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	neutron := network.New(network.Options{Client: login.Network, Store: openStore(t)})

	req := request(model.VIP{NetworkID: net.ID, Address: "192.0.2.77"})
	req.ProjectID = net.ProjectID
	result, err := neutron.AllocateVIP(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for range 2 {
			if err := neutron.DeallocateVIP(t.Context(), req.LoadBalancerID); err != nil {
				t.Error(err)
			}
		}
		if _, err := ports.Get(t.Context(), client, result.VIP.PortID).Extract(); err == nil {
			t.Error("the port is left")
		}
		if err := networks.Delete(t.Context(), client, net.ID).ExtractErr(); err != nil {
			t.Error(err)
		}
	}()
	if result.VIP.SubnetID != subnet.ID || result.VIP.Address != "192.0.2.77" || !result.VIP.OctaviaOwned {
		t.Errorf("VIP is %+v", result.VIP)
	}
	port, err := ports.Get(t.Context(), client, result.VIP.PortID).Extract()
	if err != nil {
		t.Fatal(err)
	}
	if port.Name != "octavia-lb-"+req.LoadBalancerID || port.DeviceOwner != "Octavia" ||
		port.DeviceID != "lb-"+req.LoadBalancerID || port.AdminStateUp || port.ProjectID != req.ProjectID {
		t.Errorf("port is %+v", port)
	}
	if again, err := neutron.AllocateVIP(t.Context(), req); err != nil || again.VIP.PortID != port.ID {
		t.Errorf("again: %+v, %v", again, err)
	}
	if _, err := neutron.AllocateVIP(t.Context(), request(model.VIP{SubnetID: subnet.ID, Address: "192.0.2.77"})); !errors.Is(err, network.ErrConflict) {
		t.Errorf("taken address: %v", err)
	}
	if _, err := neutron.AllocateVIP(t.Context(), request(model.VIP{SubnetID: subnet.ID, Address: "203.0.113.1"})); !errors.Is(err, network.ErrInvalid) {
		t.Errorf("foreign address: %v", err)
	}
	if users, err := neutron.AllocateVIP(t.Context(), request(model.VIP{PortID: port.ID})); err != nil ||
		users.VIP.OctaviaOwned || users.VIP.Address != "192.0.2.77" || users.VIP.SubnetID != subnet.ID {
		t.Errorf("the user's port: %+v, %v", users, err)
	}
	info, err := neutron.PortInfo(t.Context(), port.ID)
	if err != nil || info.MAC != port.MACAddress {
		t.Errorf("PortInfo() = %+v, %v", info, err)
	}
	described, err := neutron.SubnetInfo(t.Context(), subnet.ID)
	if err != nil || described.CIDR.String() != "192.0.2.0/24" || described.Gateway.String() != "192.0.2.1" || described.MTU == 0 {
		t.Errorf("SubnetInfo() = %+v, %v", described, err)
	}
}
