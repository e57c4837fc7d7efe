package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// neutron is a VIPAllocator that counts ports.
type neutron struct {
	ports   map[string]bool
	err     error
	freeErr error
	asked   []model.VIPRequest
}

func (n *neutron) AllocateVIP(_ context.Context, request model.VIPRequest) (model.VIPResult, error) {
	n.asked = append(n.asked, request)
	n.ports[request.LoadBalancerID] = true // even if it fails: a port may be there without an answer
	if n.err != nil {
		return model.VIPResult{}, n.err
	}
	vip := request.VIP
	vip.Address, vip.PortID, vip.OctaviaOwned = "192.0.2.5", otherID, request.VIP.PortID == ""
	result := model.VIPResult{VIP: vip}
	for _, additional := range request.AdditionalVIPs {
		if additional.IPAddress == "" {
			additional.IPAddress = "2001:db8::5"
		}
		additional.PortID, additional.NetworkID = vip.PortID, vip.NetworkID
		result.AdditionalVIPs = append(result.AdditionalVIPs, additional)
	}
	return result, nil
}

func (n *neutron) DeallocateVIP(_ context.Context, id string) error {
	if n.freeErr != nil {
		return n.freeErr
	}
	delete(n.ports, id)
	return nil
}

type takenError struct{}

func (takenError) Error() string  { return "409 from neutron" }
func (takenError) Conflict() bool { return true }

type misfitError struct{}

func (misfitError) Error() string       { return "400 from neutron" }
func (misfitError) Invalid() bool       { return true }
func (misfitError) UserField() string   { return "additional_vips[0].subnet_id" }
func (misfitError) UserMessage() string { return "The subnet has a VIP already." }

type quotaError struct{}

func (quotaError) Error() string       { return "OverQuota: ['port']" }
func (quotaError) UserMessage() string { return "The project has no ports left in its quota." }

func withVIPs(n *neutron) func(*api.Options) {
	n.ports = make(map[string]bool)
	return func(o *api.Options) { o.VIPs = n }
}

const vipRequest = `{"loadbalancer_id": "` + lbID + `", "project_id": "p", "vip": {"vip_subnet_id": "` + poolID + `",
	"vip_network_id": "` + newID + `", "vip_address": null, "vip_port_id": null, "vip_qos_policy_id": null, "vip_sg_ids": []},
	"additional_vips": []}`

func (h *harness) vipPorts() []store.VIPPort {
	h.t.Helper()
	ports, err := h.store.VIPPorts(context.Background(), clock.Add(time.Hour), false)
	require.NoError(h.t, err)
	return ports
}

func TestVIPPort(t *testing.T) {
	n := &neutron{}
	h := newHarness(t, withVIPs(n))
	got := h.call("POST", "/v1/vip-ports", vipRequest)
	require.Equal(t, http.StatusOK, got.Status, got.Body)
	assert.JSONEq(t, `{"vip": {"vip_address": "192.0.2.5", "vip_network_id": "`+newID+`", "vip_port_id": "`+otherID+`",
		"vip_subnet_id": "`+poolID+`", "vip_qos_policy_id": null, "vip_sg_ids": [], "octavia_owned": true},
		"additional_vips": []}`, got.Body)
	assert.Equal(t, []store.VIPPort{{LoadBalancerID: lbID, PortID: otherID, ProjectID: "p", CreatedAt: clock}}, h.vipPorts())
	entries := h.audit(lbID)
	require.Len(t, entries, 1)
	assert.Equal(t, "loadbalancer.create_vip_port", entries[0].Action)

	// The load balancer follows: the port is claimed, and stays.
	h.accepted(h.call("POST", "/v1/loadbalancers", treeJSON))
	assert.True(t, h.vipPorts()[0].Claimed)
	assert.True(t, n.ports[lbID])

	// The same call again, and wrong: the load balancer is there and keeps its port.
	h.call("POST", "/v1/loadbalancers", strings.Replace(treeJSON, `"HTTP"`, `"SCTP"`, 1))
	assert.True(t, n.ports[lbID])
	assert.Len(t, h.vipPorts(), 1)
}

// TestAdditionalVIPs checks the answer, of which Octavia makes an AdditionalVIP by keyword: each has these four keys. The
// load balancer that follows has the addresses.
func TestAdditionalVIPs(t *testing.T) {
	n := &neutron{}
	h := newHarness(t, withVIPs(n))
	// As octavia-api sends what a user gave by --additional-vip.
	asked := `{"subnet_id": "` + otherID + `", "network_id": "` + newID + `"}, {"subnet_id": "` + listenerID + `", "ip_address": "192.0.2.6",
		"network_id": "` + newID + `", "port_id": null}`
	got := h.call("POST", "/v1/vip-ports", strings.Replace(vipRequest, `"additional_vips": []`, `"additional_vips": [`+asked+`]`, 1))
	require.Equal(t, http.StatusOK, got.Status, got.Body)
	var answer struct {
		AdditionalVIPs json.RawMessage `json:"additional_vips"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.Body), &answer))
	want := `[{"ip_address": "2001:db8::5", "network_id": "` + newID + `", "port_id": "` + otherID + `", "subnet_id": "` + otherID + `"},
		{"ip_address": "192.0.2.6", "network_id": "` + newID + `", "port_id": "` + otherID + `", "subnet_id": "` + listenerID + `"}]`
	assert.JSONEq(t, want, string(answer.AdditionalVIPs))
	assert.Len(t, h.vipPorts(), 1, "all addresses are on one port")
	h.accepted(h.call("POST", "/v1/loadbalancers", strings.Replace(treeJSON, `"vip_address"`, `"additional_vips": `+want+`, "vip_address"`, 1)))
	assert.True(t, n.ports[lbID])
}

// TestVIPPortIsFreed refuses load balancers whose port was made.
func TestVIPPortIsFreed(t *testing.T) {
	bodies := map[string]string{
		"unsupported": strings.Replace(treeJSON, `"HTTP"`, `"SCTP"`, 1),
		"malformed":   strings.Replace(treeJSON, `"name"`, `"naem"`, 1),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			n := &neutron{}
			h := newHarness(t, withVIPs(n))
			require.Equal(t, http.StatusOK, h.call("POST", "/v1/vip-ports", vipRequest).Status)
			assert.GreaterOrEqual(t, h.call("POST", "/v1/loadbalancers", body).Status, 400)
			assert.Empty(t, n.ports)
			assert.Empty(t, h.vipPorts())
		})
	}
	for name, failing := range map[string]failingStore{"commit": {intents: assert.AnError}, "claim": {claims: assert.AnError}} {
		t.Run(name, func(t *testing.T) {
			n := &neutron{}
			h := newHarness(t, withVIPs(n), func(o *api.Options) { failing.Store = o.Store; o.Store = failing })
			require.Equal(t, http.StatusOK, h.call("POST", "/v1/vip-ports", vipRequest).Status)
			assert.Equal(t, http.StatusServiceUnavailable, h.call("POST", "/v1/loadbalancers", treeJSON).Status)
			assert.Empty(t, n.ports)
			assert.Empty(t, h.vipPorts())
		})
	}
	t.Run("Neutron does not free it", func(t *testing.T) {
		n := &neutron{freeErr: assert.AnError}
		h := newHarness(t, withVIPs(n))
		require.Equal(t, http.StatusOK, h.call("POST", "/v1/vip-ports", vipRequest).Status)
		h.call("POST", "/v1/loadbalancers", bodies["unsupported"])
		ports := h.vipPorts()
		require.Len(t, ports, 1, "the record stays for another attempt")
		assert.False(t, ports[0].Claimed)
		assert.Contains(t, h.logs.String(), "is not freed yet")
	})
	t.Run("the user's own port", func(t *testing.T) {
		n := &neutron{}
		h := newHarness(t, withVIPs(n))
		body := strings.Replace(vipRequest, `"vip_port_id": null`, `"vip_port_id": "`+otherID+`"`, 1)
		got := h.call("POST", "/v1/vip-ports", body)
		require.Equal(t, http.StatusOK, got.Status)
		assert.Contains(t, got.Body, `"octavia_owned":false`)
		assert.Empty(t, h.vipPorts())
		h.call("POST", "/v1/loadbalancers", bodies["unsupported"])
		assert.True(t, n.ports[lbID], "is not ours to free")
	})
}

func TestVIPPortRefused(t *testing.T) {
	tests := map[string]struct {
		replace, with  string
		err            error
		status         int
		code           api.Code
		field, message string
	}{
		"additional": {
			`"additional_vips": []`, `"additional_vips": [{"subnet_id": "` + otherID + `", "ip_address": "nonsense"}]`, nil, 400, "invalid",
			"additional_vips", `The ip_address of additional_vips must be an IPv4 or IPv6 address, not "nonsense".`,
		},
		"additional, twice": {
			`"additional_vips": []`, `"additional_vips": [{"subnet_id": "` + otherID + `", "ip_address": "192.0.2.1"}, {"ip_address": "192.0.2.1"}]`,
			nil, 400, "invalid", "additional_vips", "The load balancer has the address 192.0.2.1 twice.",
		},
		"QoS": {
			`"vip_qos_policy_id": null`, `"vip_qos_policy_id": "` + otherID + `"`, nil, 501, "unsupported_option", "vip_qos_policy_id",
			"QoS policies on the VIP are not supported yet, nothing would apply them; leave the load balancer, and a VIP port of your own, without one.",
		},
		"groups": {
			`"vip_sg_ids": []`, `"vip_sg_ids": ["` + otherID + `"]`, nil, 501, "unsupported_option", "vip_sg_ids",
			"Security groups on the VIP are not supported yet, nothing would enforce them; use allowed_cidrs of the listeners instead.",
		},
		"address": {
			`"vip_address": null`, `"vip_address": "nonsense"`, nil, 400, "invalid", "vip_address",
			`vip_address must be an IPv4 or IPv6 address, not "nonsense".`,
		},
		"id":      {lbID, "x", nil, 400, "invalid", "loadbalancer_id", "loadbalancer_id must be given, as a UUID."},
		"unknown": {"vip_subnet_id", "vip_subnet", nil, 400, "invalid", "vip.vip_subnet", "vip.vip_subnet: unknown field, did you mean vip_subnet_id?"},
		"taken":   {"", "", takenError{}, 409, "conflict", "", "The VIP address is already in use."},
		"misfit":  {"", "", misfitError{}, 400, "invalid", "additional_vips[0].subnet_id", "The subnet has a VIP already."},
		"quota":   {"", "", quotaError{}, 503, "unavailable", "", "The project has no ports left in its quota."},
		"down":    {"", "", assert.AnError, 503, "unavailable", "", "The port of the VIP could not be made; please try again."},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			n := &neutron{err: test.err}
			h := newHarness(t, withVIPs(n))
			body := strings.Replace(vipRequest, test.replace, test.with, 1)
			h.refused(h.call("POST", "/v1/vip-ports", body), test.status, test.code, test.field, test.message)
			assert.Empty(t, n.ports)
			assert.Empty(t, h.vipPorts())
			if test.err == nil {
				assert.Empty(t, n.asked)
			}
		})
	}
	t.Run("left to Octavia", func(t *testing.T) {
		h := newHarness(t)
		h.refused(h.call("POST", "/v1/vip-ports", vipRequest), 501, "not_implemented", "",
			"Octavia makes the ports of VIPs for this controller.")
		h.refused(h.call("POST", "/v1/vip-ports", strings.Replace(vipRequest, `"vip_sg_ids": []`, `"vip_sg_ids": ["x"]`, 1)),
			501, "unsupported_option", "vip_sg_ids", "Security groups on the VIP are not supported yet, nothing would enforce them; "+
				"use allowed_cidrs of the listeners instead.")
	})
}

// TestVIPPortOnRecordFirst crashes while Neutron works: the record is there, so that the port can be found and freed.
func TestVIPPortOnRecordFirst(t *testing.T) {
	n := &neutron{}
	var h *harness
	h = newHarness(t, func(o *api.Options) {
		withVIPs(n)(o)
		o.VIPs = crashing{func() {
			assert.Equal(t, []store.VIPPort{{LoadBalancerID: lbID, ProjectID: "p", CreatedAt: clock}}, h.vipPorts())
		}}
	})
	assert.Equal(t, http.StatusInternalServerError, h.call("POST", "/v1/vip-ports", vipRequest).Status)
	assert.Len(t, h.vipPorts(), 1)
}

type crashing struct{ before func() }

func (c crashing) AllocateVIP(context.Context, model.VIPRequest) (model.VIPResult, error) {
	c.before()
	panic(model.TLSContainer{PrivateKey: "MIIEvQIBADANBgkq"})
}
func (crashing) DeallocateVIP(context.Context, string) error { return nil }
