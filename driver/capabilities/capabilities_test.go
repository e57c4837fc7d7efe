package capabilities_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	lbID       = "10000000-0000-4000-8000-000000000001"
	listenerID = "20000000-0000-4000-8000-000000000001"
	poolID     = "30000000-0000-4000-8000-000000000001"
	memberID   = "40000000-0000-4000-8000-000000000001"
	otherID    = "90000000-0000-4000-8000-000000000009"
)

// tree is a load balancer with one of everything that is supported.
func tree(t *testing.T) *model.LoadBalancer {
	t.Helper()
	lb := new(model.LoadBalancer)
	require.NoError(t, json.Unmarshal([]byte(`{
		"loadbalancer_id": "`+lbID+`", "vip_address": "2001:db8::5",
		"listeners": [{"listener_id": "`+listenerID+`", "protocol": "HTTP", "protocol_port": 80,
			"default_pool_id": "`+poolID+`", "loadbalancer_id": "`+lbID+`"}],
		"pools": [{"pool_id": "`+poolID+`", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "loadbalancer_id": "`+lbID+`",
			"members": [{"member_id": "`+memberID+`", "pool_id": "`+poolID+`", "address": "192.0.2.1", "protocol_port": 80}]}]
	}`), lb))
	return lb
}

// TestDefaultsPass checks what octavia-api 19 sends for objects of which a user set only what must be set.
func TestDefaultsPass(t *testing.T) {
	data, err := os.ReadFile("testdata/defaults.json")
	require.NoError(t, err)
	lb := new(model.LoadBalancer)
	require.NoError(t, json.Unmarshal(data, lb))
	require.Len(t, lb.Listeners, 3)
	assert.Empty(t, capabilities.Check(lb))
}

// TestSupported checks what is supported, one by one.
func TestSupported(t *testing.T) {
	tests := map[string]func(lb *model.LoadBalancer, l *model.Listener, p *model.Pool, m *model.Member){
		"as is": func(*model.LoadBalancer, *model.Listener, *model.Pool, *model.Member) {},
		"TCP": func(_ *model.LoadBalancer, l *model.Listener, p *model.Pool, _ *model.Member) {
			l.Protocol, p.Protocol = "TCP", "TCP"
		},
		"HTTPS": func(_ *model.LoadBalancer, l *model.Listener, p *model.Pool, _ *model.Member) {
			l.Protocol, p.Protocol = "HTTPS", "HTTPS"
		},
		"PROMETHEUS": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) {
			l.Protocol, l.DefaultPoolID, l.ConnectionLimit, l.AllowedCIDRs = "PROMETHEUS", "", 10, []string{"192.0.2.0/24"}
		},
		"TCP of HTTP": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) { l.Protocol = "TCP" },
		"least": func(_ *model.LoadBalancer, _ *model.Listener, p *model.Pool, _ *model.Member) {
			p.LBAlgorithm = "LEAST_CONNECTIONS"
		},
		"weight 0":   func(_ *model.LoadBalancer, _ *model.Listener, _ *model.Pool, m *model.Member) { m.Weight = 0 },
		"weight 256": func(_ *model.LoadBalancer, _ *model.Listener, _ *model.Pool, m *model.Member) { m.Weight = 256 },
		"IPv6": func(_ *model.LoadBalancer, _ *model.Listener, _ *model.Pool, m *model.Member) {
			m.Address = "2001:db8::1"
		},
		"additional VIPs": func(lb *model.LoadBalancer, _ *model.Listener, _ *model.Pool, _ *model.Member) {
			lb.AdditionalVIPs = []model.AdditionalVIP{{IPAddress: "192.0.2.5"}, {IPAddress: "2001:db8:1::5"}}
		},
		"monitored elsewhere": func(_ *model.LoadBalancer, _ *model.Listener, _ *model.Pool, m *model.Member) {
			m.MonitorAddress, m.MonitorPort = "2001:db8::9", 8080
		},
		"normal port": func(_ *model.LoadBalancer, _ *model.Listener, _ *model.Pool, m *model.Member) { m.VNICType = "normal" },
		"disabled": func(lb *model.LoadBalancer, l *model.Listener, p *model.Pool, m *model.Member) {
			lb.AdminStateUp, l.AdminStateUp, p.AdminStateUp, m.AdminStateUp = false, false, false, false
		},
		"no pool": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) { l.DefaultPoolID = "" },
		"timeouts": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) {
			l.TimeoutClientData, l.TimeoutMemberData, l.TimeoutMemberConnect = 0, 2073600000, 1
		},
		"headers false": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) {
			l.InsertHeaders = map[string]string{"X-Forwarded-For": "False"}
		},
		"headers": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) {
			l.InsertHeaders = map[string]string{"X-Forwarded-For": "true", "X-Forwarded-Port": "True", "X-Forwarded-Proto": "TRUE"}
		},
		"limits": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) {
			l.ConnectionLimit, l.TimeoutTCPInspect = 100, 1000
		},
		"CIDRs": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) {
			l.AllowedCIDRs = []string{"10.0.0.1/8", "2001:db8::/32"}
		},
		"UDP beside TCP": func(lb *model.LoadBalancer, _ *model.Listener, p *model.Pool, _ *model.Member) {
			second := model.Pool{ID: otherID, Protocol: "UDP", LBAlgorithm: "SOURCE_IP_PORT"}
			second.SessionPersistence = &model.SessionPersistence{
				Type: "SOURCE_IP", PersistenceTimeout: 360, PersistenceGranularity: "255.255.255.255",
			}
			lb.Pools = append(lb.Pools, second)
			lb.Listeners = append(lb.Listeners, model.Listener{ID: otherID, Protocol: "UDP", ProtocolPort: 80, DefaultPoolID: otherID})
		},
		"PROXY": func(_ *model.LoadBalancer, _ *model.Listener, p *model.Pool, _ *model.Member) {
			p.Protocol, p.SessionPersistence = "PROXY", &model.SessionPersistence{Type: "HTTP_COOKIE"}
		},
		"PROXYV2": func(_ *model.LoadBalancer, l *model.Listener, p *model.Pool, _ *model.Member) {
			l.Protocol, p.Protocol = "HTTPS", "PROXYV2"
		},
		"application's cookie": func(_ *model.LoadBalancer, _ *model.Listener, p *model.Pool, _ *model.Member) {
			p.LBAlgorithm, p.SessionPersistence = "SOURCE_IP", &model.SessionPersistence{Type: "APP_COOKIE", CookieName: "JSESSIONID"}
		},
		"no limit": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) { l.ConnectionLimit = 0 },
		"backup":   func(_ *model.LoadBalancer, _ *model.Listener, _ *model.Pool, m *model.Member) { m.Backup = true },
		"no client auth": func(_ *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) {
			l.ClientAuthentication = "NONE"
		},
		"flavor": func(lb *model.LoadBalancer, _ *model.Listener, _ *model.Pool, _ *model.Member) {
			lb.Flavor = map[string]any{"loadbalancer_topology": "SINGLE"}
		},
		"no zone": func(lb *model.LoadBalancer, _ *model.Listener, _ *model.Pool, _ *model.Member) {
			lb.AvailabilityZone = map[string]any{}
		},
		// What octavia-api writes when a user clears them: [api_settings] default_listener_tls_versions and so on.
		"cleared TLS": func(_ *model.LoadBalancer, l *model.Listener, p *model.Pool, _ *model.Member) {
			l.TLSVersions, l.ALPNProtocols = []string{"TLSv1.2", "TLSv1.3"}, []string{"h2", "http/1.1", "http/1.0"}
			l.TLSCiphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" +
				"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" +
				"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" +
				"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"
			p.TLSVersions, p.ALPNProtocols, p.TLSCiphers = l.TLSVersions, l.ALPNProtocols, l.TLSCiphers
		},
		"another port": func(lb *model.LoadBalancer, l *model.Listener, _ *model.Pool, _ *model.Member) {
			second := *l
			second.ID, second.ProtocolPort = otherID, 81
			lb.Listeners = append(lb.Listeners, second)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			change(lb, &lb.Listeners[0], &lb.Pools[0], &lb.Pools[0].Members[0])
			assert.Empty(t, capabilities.Check(lb))
		})
	}
}

func TestPartial(t *testing.T) {
	lb := tree(t)
	lb.Pools = nil
	assert.Equal(t, []string{"listeners[0].default_pool_id: The load balancer has no pool " + poolID + "."}, lines(capabilities.Check(lb)))
	assert.Empty(t, capabilities.CheckPartial(lb))
}

// TestRef checks that a problem says whose it is.
func TestRef(t *testing.T) {
	lb := tree(t)
	lb.Pools[0].Members[0].Weight = 257
	assert.Equal(t, []capabilities.Problem{{
		Ref:     model.Ref{Kind: model.KindMember, ID: memberID},
		Field:   "weight",
		Path:    "pools[0].members[0].weight",
		Message: "weight must be between 0 and 256, not 257.",
		Kind:    capabilities.Invalid,
	}}, capabilities.Check(lb))
}

func TestFlavor(t *testing.T) {
	described := capabilities.FlavorCapabilities()
	assert.Len(t, described, 13)
	assert.Equal(t, "How many amphorae serve a load balancer: SINGLE is one.", described["loadbalancer_topology"])
	assert.Empty(t, capabilities.CheckFlavor(nil))
	assert.Empty(t, capabilities.CheckFlavor(map[string]any{"loadbalancer_topology": "SINGLE", "access_log": true}))
	problems := capabilities.CheckFlavor(map[string]any{"loadbalancer_topology": 1, "slow_start": map[string]any{"sriov_vip": true}})
	assert.Equal(t, []string{
		`loadbalancer_topology: flavor.loadbalancer_topology must be "SINGLE", not 1.`,
		`slow_start.sriov_vip: flavor.slow_start.sriov_vip is unknown. flavor.slow_start has the keys min_weight_percent and window_ms.`,
		"slow_start.window_ms: flavor.slow_start.window_ms is missing; it must be a whole number between 1000 and 3600000.",
	}, lines(problems))
	for _, p := range problems {
		assert.Equal(t, capabilities.Unsupported, p.Kind, "%s: Octavia would answer 500", p)
		assert.Equal(t, p.Path, p.Field)
	}
	assert.Equal(t, []string{"The flavor data has a value that is not of JSON."},
		lines(capabilities.CheckFlavor(map[string]any{"access_log": struct{}{}})))
	assert.Equal(t, []string{
		"loadbalancer_topology: The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE.",
	}, lines(capabilities.CheckFlavor(map[string]any{"loadbalancer_topology": "ACTIVE_STANDBY"})))
}

func TestAvailabilityZone(t *testing.T) {
	assert.Empty(t, capabilities.AvailabilityZoneCapabilities())
	assert.Empty(t, capabilities.CheckAvailabilityZone(map[string]any{}))
	assert.Equal(t, []string{
		`compute_zone: Availability zones are not supported yet (the key "compute_zone"); create the load balancer without one.`,
	}, lines(capabilities.CheckAvailabilityZone(map[string]any{"compute_zone": "nova"})))
}

func TestSentences(t *testing.T) {
	lb := tree(t)
	everything(lb)
	for _, problem := range capabilities.Check(lb) {
		assert.True(t, strings.HasSuffix(problem.Message, "."), "not a sentence: %s", problem)
		assert.Less(t, len(problem.Message), 250, "too long for a fault string: %s", problem)
	}
}

func lines(problems []capabilities.Problem) []string {
	texts := make([]string, 0, len(problems))
	for _, p := range problems {
		texts = append(texts, p.String())
	}
	return texts
}
