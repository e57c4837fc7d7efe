package parity

import (
	"maps"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// features are what the generator makes only when the capabilities accept it, each as a change of the smallest tree.
func features() map[string]func(*model.LoadBalancer) {
	listener := func(change func(*model.Listener)) func(*model.LoadBalancer) {
		return func(lb *model.LoadBalancer) { change(&lb.Listeners[0]) }
	}
	pool := func(change func(*model.Pool)) func(*model.LoadBalancer) {
		return func(lb *model.LoadBalancer) { change(&lb.Pools[0]) }
	}
	all := map[string]func(*model.LoadBalancer){
		"insert_headers":      listener(func(l *model.Listener) { l.InsertHeaders = map[string]string{"X-Forwarded-For": "true"} }),
		"timeout_tcp_inspect": listener(func(l *model.Listener) { l.TimeoutTCPInspect = 1000 }),
		"l7policies": listener(func(l *model.Listener) {
			l.L7Policies = []model.L7Policy{{
				ID: fixedID(5), ListenerID: l.ID, Position: 1, Action: "REJECT", AdminStateUp: true,
				Rules: []model.L7Rule{{
					ID: fixedID(6), L7PolicyID: fixedID(5), Type: "PATH", CompareType: "STARTS_WITH", Value: "/a", AdminStateUp: true,
				}},
			}}
		}),
		"allowed_cidrs": listener(func(l *model.Listener) { l.AllowedCIDRs = []string{"192.0.2.0/24"} }),
		"additional_vips": func(lb *model.LoadBalancer) {
			lb.AdditionalVIPs = []model.AdditionalVIP{{IPAddress: "198.51.102.1", SubnetID: fixedID(7)}}
		},
		"backup": pool(func(p *model.Pool) { p.Members[0].Backup = true }),
	}
	all["TLS"] = listener(func(l *model.Listener) {
		l.Protocol, l.DefaultTLSContainerRef, l.SNIContainerRefs = model.ProtocolTerminatedHTTPS, "default", []string{"www"}
		l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCRLContainerRef = "OPTIONAL", clientCA, clientCRL
		l.InsertHeaders = map[string]string{"X-SSL-Client-DN": "true"}
	})
	all["TLS to members"] = pool(func(p *model.Pool) {
		p.TLSEnabled, p.CATLSContainerRef, p.CRLContainerRef, p.TLSContainerRef = true, memberCA, memberCRL, memberClient
	})
	for _, kind := range []string{"SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE"} {
		all["persistence "+kind] = pool(func(p *model.Pool) {
			p.SessionPersistence = &model.SessionPersistence{Type: kind}
			if kind == "APP_COOKIE" {
				p.SessionPersistence.CookieName = appCookie
			}
		})
	}
	for _, protocol := range []string{model.ProtocolProxy, model.ProtocolProxyV2} {
		all["protocol "+protocol] = pool(func(p *model.Pool) { p.Protocol = protocol })
	}
	for _, algorithm := range []string{model.AlgorithmSourceIP, model.AlgorithmSourceIPPort} {
		all["algorithm "+algorithm] = pool(func(p *model.Pool) { p.LBAlgorithm = algorithm })
	}
	return all
}

// accepted returns the features that the capabilities accept.
func accepted() map[string]bool {
	has := map[string]bool{}
	for name, change := range features() {
		lb := &model.LoadBalancer{
			ID: fixedID(1), VIPAddress: "198.51.100.1", AdminStateUp: true,
			Listeners: []model.Listener{{
				ID: fixedID(2), AdminStateUp: true, Protocol: model.ProtocolHTTP, ProtocolPort: 80,
				ConnectionLimit: model.UnlimitedConnections, DefaultPoolID: fixedID(3),
			}},
			Pools: []model.Pool{{
				ID: fixedID(3), AdminStateUp: true, Protocol: model.ProtocolHTTP, LBAlgorithm: model.AlgorithmRoundRobin,
				Members: []model.Member{{ID: fixedID(4), AdminStateUp: true, Address: "203.0.113.1", ProtocolPort: 80, Weight: 1}},
			}},
		}
		change(lb)
		has[name] = len(capabilities.Check(lb)) == 0
	}
	return has
}

// missing names the features that are refused, and so not compared.
func missing(has map[string]bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(has)), func(name string) bool { return has[name] })
}

func fixedID(i byte) string { return "00000000-0000-4000-8000-00000000000" + string('0'+i) }
