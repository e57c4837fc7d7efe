package network_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
	"github.com/octavia-envoy/octavia-envoy/store"
)

type fixture struct {
	*network.Neutron
	api   *api
	store *store.Store
	now   time.Time
	// noLogin is what Keystone says instead of a token.
	noLogin error
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{api: &api{ports: map[string]map[string]any{}}, now: time.Now()}
	served := httptest.NewServer(f.api)
	t.Cleanup(served.Close)
	f.store = openStore(t)
	f.Neutron = network.New(network.Options{
		Client: func(context.Context) (*gophercloud.ServiceClient, error) {
			return &gophercloud.ServiceClient{
				ProviderClient: &gophercloud.ProviderClient{}, Endpoint: served.URL + "/", ResourceBase: served.URL + "/v2.0/",
			}, f.noLogin
		},
		Store: f.store, Now: func() time.Time { return f.now },
	})
	return f
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "store.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

func request(vip model.VIP) model.VIPRequest {
	return model.VIPRequest{LoadBalancerID: uuid.NewString(), ProjectID: project, VIP: vip}
}

func TestAllocateMakesThePortThatOctaviaWouldMake(t *testing.T) {
	f := newFixture(t)
	req := request(model.VIP{SubnetID: subnet4, SGIDs: []string{"sg-1"}, QoSPolicyID: "qos-1"})
	result, err := f.AllocateVIP(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	vip := result.VIP
	if vip.Address != "203.0.113.7" || vip.NetworkID != networkID || vip.SubnetID != subnet4 || vip.PortID == "" ||
		!vip.OctaviaOwned || vip.QoSPolicyID != "qos-1" || !slices.Equal(vip.SGIDs, []string{"sg-1"}) {
		t.Errorf("VIP is %+v", vip)
	}
	want := map[string]any{
		"name": "octavia-lb-" + req.LoadBalancerID, "device_id": "lb-" + req.LoadBalancerID, "device_owner": "Octavia",
		"admin_state_up": false, "project_id": project, "network_id": networkID, "security_groups": []any{"sg-1"},
		"fixed_ips": []any{map[string]any{"subnet_id": subnet4}},
	}
	if have, want := fmt.Sprint(f.api.bodies[0]), fmt.Sprint(want); have != want {
		t.Errorf("asked Neutron for\n%s, want\n%s", have, want)
	}
	row, err := f.store.VIPPort(t.Context(), req.LoadBalancerID)
	if err != nil || row.PortID != vip.PortID || row.Claimed || row.ProjectID != project {
		t.Errorf("row is %+v, %v", row, err)
	}

	again, err := f.AllocateVIP(t.Context(), req)
	if err != nil || again.VIP.PortID != vip.PortID || len(f.api.ports) != 1 {
		t.Errorf("again: %+v, %v, %d ports", again, err, len(f.api.ports))
	}
	for range 2 {
		if err := f.DeallocateVIP(t.Context(), req.LoadBalancerID); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.store.VIPPort(t.Context(), req.LoadBalancerID); len(f.api.ports) != 0 || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("left: %v, row %v", f.api.ports, err)
	}
}

func TestAllocateChoosesASubnet(t *testing.T) {
	for name, test := range map[string]struct{ vip, want model.VIP }{
		"IPv4 before IPv6":       {model.VIP{NetworkID: networkID}, model.VIP{SubnetID: subnet4, Address: "203.0.113.7"}},
		"the one of the address": {model.VIP{NetworkID: networkID, Address: "2001:db8::9"}, model.VIP{SubnetID: subnet6, Address: "2001:db8::9"}},
		"the user's":             {model.VIP{SubnetID: subnet6}, model.VIP{SubnetID: subnet6, Address: "2001:db8::7"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			result, err := f.AllocateVIP(t.Context(), request(test.vip))
			if err != nil {
				t.Fatal(err)
			}
			if vip := result.VIP; vip.SubnetID != test.want.SubnetID || vip.Address != test.want.Address || vip.NetworkID != networkID {
				t.Errorf("VIP is %+v", vip)
			}
		})
	}
}

func TestUsersPortIsOnlyRead(t *testing.T) {
	f := newFixture(t)
	f.api.ports["users"] = map[string]any{
		"id": "users", "network_id": networkID, "device_owner": "", "mac_address": "fa:16:3e:00:00:01",
		"fixed_ips": []map[string]any{
			{"subnet_id": subnet6, "ip_address": "2001:db8::50"}, {"subnet_id": subnet4, "ip_address": "203.0.113.50"},
		},
	}
	req := request(model.VIP{PortID: "users", SubnetID: subnet4})
	result, err := f.AllocateVIP(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if vip := result.VIP; vip.PortID != "users" || vip.Address != "203.0.113.50" || vip.NetworkID != networkID || vip.OctaviaOwned {
		t.Errorf("VIP is %+v", vip)
	}
	if err := f.DeallocateVIP(t.Context(), req.LoadBalancerID); err != nil {
		t.Fatal(err)
	}
	if f.api.ports["users"] == nil {
		t.Error("the user's port was deleted")
	}
}

func TestAllocateErrors(t *testing.T) {
	for name, test := range map[string]struct {
		request model.VIPRequest
		refuse  func(http.ResponseWriter)
		kind    error
		field   string
		message string
	}{
		"address taken": {
			request: request(model.VIP{SubnetID: subnet4, Address: "203.0.113.9"}),
			refuse: func(w http.ResponseWriter) {
				refuse(w, http.StatusConflict, "IpAddressAlreadyAllocated", "IP address 203.0.113.9 already allocated in subnet")
			},
			kind: network.ErrConflict, field: "vip.vip_address", message: "The address 203.0.113.9 is in use.",
		},
		"no address left": {
			request: request(model.VIP{SubnetID: subnet4}),
			refuse: func(w http.ResponseWriter) {
				refuse(w, http.StatusConflict, "IpAddressGenerationFailure", "No more IP addresses available on network")
			},
			kind: network.ErrConflict, message: "No address is left",
		},
		"quota": {
			request: request(model.VIP{SubnetID: subnet4}),
			refuse: func(w http.ResponseWriter) {
				refuse(w, http.StatusConflict, "OverQuota", "Quota exceeded for resources: ['port'].")
			},
			kind: network.ErrUnavailable, message: "quota",
		},
		"address of another subnet": {
			request: request(model.VIP{SubnetID: subnet4, Address: "192.0.2.1"}),
			refuse: func(w http.ResponseWriter) {
				refuse(w, http.StatusBadRequest, "InvalidIpForSubnet", "IP address 192.0.2.1 is not a valid IP for the specified subnet.")
			},
			kind: network.ErrInvalid, field: "vip.vip_address", message: "not a valid IP",
		},
		"address of no subnet": {
			request: request(model.VIP{NetworkID: networkID, Address: "192.0.2.1"}),
			kind:    network.ErrInvalid, field: "vip.vip_address", message: "no subnet for the address 192.0.2.1",
		},
		"unknown subnet":  {request: request(model.VIP{SubnetID: "nope"}), kind: network.ErrNotFound, field: "vip.vip_subnet_id"},
		"unknown network": {request: request(model.VIP{NetworkID: "nope"}), kind: network.ErrInvalid, field: "vip.vip_network_id"},
		"unknown port":    {request: request(model.VIP{PortID: "nope"}), kind: network.ErrNotFound, field: "vip.vip_port_id"},
		"another network": {
			request: request(model.VIP{SubnetID: subnet4, NetworkID: "other"}), kind: network.ErrInvalid, field: "vip.vip_subnet_id",
		},
		"nothing": {request: request(model.VIP{}), kind: network.ErrInvalid, field: "vip"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.api.refuse = test.refuse
			_, err := f.AllocateVIP(t.Context(), test.request)
			var typed *network.Error
			if !errors.Is(err, test.kind) || !errors.As(err, &typed) {
				t.Fatalf("error is %v", err)
			}
			if typed.Field != test.field || !strings.Contains(typed.UserMessage(), test.message) || typed.UserMessage() == "" {
				t.Errorf("field %q, message %q", typed.Field, typed.UserMessage())
			}
			if typed.Conflict() != errors.Is(test.kind, network.ErrConflict) {
				t.Errorf("Conflict() = %v", typed.Conflict())
			}
			rows, err := f.store.VIPPorts(t.Context(), time.Now().Add(time.Hour), false)
			if err != nil || (len(rows) > 0 && name != "quota") {
				t.Errorf("rows left: %v, %v", rows, err)
			}
		})
	}
}

func TestNeutronDown(t *testing.T) {
	f := newFixture(t)
	f.api.broken = true
	req := request(model.VIP{SubnetID: subnet4})
	if _, err := f.AllocateVIP(t.Context(), req); !errors.Is(err, network.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
}

// TestKeystoneDown: the user reads a sentence, the operator the cause, and once Keystone is up it works.
func TestKeystoneDown(t *testing.T) {
	f := newFixture(t)
	f.noLogin = errors.New("connection refused")
	req := request(model.VIP{SubnetID: subnet4})
	_, err := f.AllocateVIP(t.Context(), req)
	var typed *network.Error
	if !errors.Is(err, network.ErrUnavailable) || !errors.Is(err, f.noLogin) || !errors.As(err, &typed) {
		t.Fatalf("error is %v", err)
	}
	if want := "The network service could not be used. Try again later."; typed.UserMessage() != want {
		t.Errorf("the user reads %q, want %q", typed.UserMessage(), want)
	}
	f.noLogin = nil
	if _, err := f.AllocateVIP(t.Context(), req); err != nil {
		t.Error(err)
	}
}

func TestGCDeletesWhatNobodyNeeds(t *testing.T) {
	f := newFixture(t)
	allocate := func() string {
		t.Helper()
		req := request(model.VIP{SubnetID: subnet4})
		if _, err := f.AllocateVIP(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		return req.LoadBalancerID
	}
	served, lost, known, doubtful := allocate(), allocate(), allocate(), allocate()
	// Killed between the claim and the commit: crashed was rolled back by Octavia, adopted is yet to be found by the resync.
	crashed, adopted := allocate(), allocate()
	for _, id := range []string{served, crashed, adopted} {
		if err := f.store.ClaimVIPPort(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.store.SaveTree(t.Context(), &model.LoadBalancer{ID: served}); err != nil {
		t.Fatal(err)
	}
	// Killed between Neutron's answer and the second write: the row names no port.
	row, err := f.store.VIPPort(t.Context(), lost)
	if err != nil {
		t.Fatal(err)
	}
	row.PortID = ""
	if err := f.store.PutVIPPort(t.Context(), *row); err != nil {
		t.Fatal(err)
	}
	exists := func(_ context.Context, id string) (bool, error) {
		if id == doubtful {
			return false, errors.New("Octavia does not answer")
		}
		if id == served {
			t.Error("asked for a load balancer that is in the store")
		}
		return id == known || id == adopted, nil
	}
	if err := f.GC(t.Context(), exists); err != nil || len(f.api.ports) != 6 {
		t.Fatalf("too early: %v, %d ports", err, len(f.api.ports))
	}
	f.now = f.now.Add(2*time.Minute + time.Second)
	fresh := allocate()
	if err := f.GC(t.Context(), exists); err == nil || !strings.Contains(err.Error(), doubtful) {
		t.Errorf("GC() = %v, want it to name %s", err, doubtful)
	}
	left := map[any]bool{}
	for _, port := range f.api.ports {
		left[port["device_id"]] = true
	}
	for id, want := range map[string]bool{
		served: true, lost: false, known: true, doubtful: true, crashed: false, adopted: true, fresh: true,
	} {
		if left["lb-"+id] != want {
			t.Errorf("port of %s: %v, want %v", id, left["lb-"+id], want)
		}
	}
	if row, err := f.store.VIPPort(t.Context(), known); err != nil || !row.Claimed {
		t.Errorf("row of a load balancer that exists: %+v, %v", row, err)
	}
}

func TestInfo(t *testing.T) {
	f := newFixture(t)
	result, err := f.AllocateVIP(t.Context(), request(model.VIP{SubnetID: subnet4}))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		port, err := f.PortInfo(t.Context(), result.VIP.PortID)
		if err != nil || port.MAC != "fa:16:3e:01:02:03" || port.NetworkID != networkID ||
			!slices.Equal(port.FixedIPs, []network.FixedIP{{SubnetID: subnet4, Address: netip.MustParseAddr("203.0.113.7")}}) {
			t.Fatalf("PortInfo() = %+v, %v", port, err)
		}
	}
	if f.api.reads != 1 {
		t.Errorf("asked Neutron %d times", f.api.reads)
	}
	f.now = f.now.Add(2 * time.Minute)
	if _, err := f.PortInfo(t.Context(), result.VIP.PortID); err != nil || f.api.reads != 2 {
		t.Errorf("after two minutes: %d reads, %v", f.api.reads, err)
	}
	subnet, err := f.SubnetInfo(t.Context(), subnet4)
	if err != nil || subnet.CIDR != netip.MustParsePrefix("203.0.113.0/24") || subnet.MTU != 1450 ||
		subnet.Gateway != netip.MustParseAddr("203.0.113.1") || len(subnet.HostRoutes) != 1 {
		t.Errorf("SubnetInfo() = %+v, %v", subnet, err)
	}
	if six, err := f.SubnetInfo(t.Context(), subnet6); err != nil || six.Gateway.IsValid() {
		t.Errorf("SubnetInfo() = %+v, %v", six, err)
	}
	if _, err := f.PortInfo(t.Context(), "nope"); !errors.Is(err, network.ErrNotFound) {
		t.Errorf("PortInfo(nope) = %v", err)
	}
}
