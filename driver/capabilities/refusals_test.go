package capabilities_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

type change func(lb *model.LoadBalancer)

func onListener(f func(*model.Listener)) change {
	return func(lb *model.LoadBalancer) { f(&lb.Listeners[0]) }
}
func onPool(f func(*model.Pool)) change { return func(lb *model.LoadBalancer) { f(&lb.Pools[0]) } }
func onMember(f func(*model.Member)) change {
	return func(lb *model.LoadBalancer) { f(&lb.Pools[0].Members[0]) }
}

type refusal struct {
	change change
	want   string
}

// unsupported is every row of every table, with the sentence that the user reads.
func unsupported() map[string]refusal {
	age := 0
	return map[string]refusal{
		"QoS": {
			func(lb *model.LoadBalancer) { lb.VIPQoSPolicyID = otherID },
			"vip_qos_policy_id: QoS policies on the VIP are not supported yet, nothing would apply them; leave the load balancer, and a VIP port of your own, without one.",
		},
		"security groups": {
			func(lb *model.LoadBalancer) { lb.VIPSGIDs = []string{otherID} },
			"vip_sg_ids: Security groups on the VIP are not supported yet, nothing would enforce them; use allowed_cidrs of the listeners instead.",
		},
		"flavor": {
			func(lb *model.LoadBalancer) { lb.Flavor = map[string]any{"loadbalancer_topology": "ACTIVE_STANDBY"} },
			"flavor.loadbalancer_topology: The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE.",
		},
		"zone": {
			func(lb *model.LoadBalancer) { lb.AvailabilityZone = map[string]any{"management_network": otherID} },
			`availability_zone.management_network: Availability zones are not supported yet (the key "management_network"); create the load balancer without one.`,
		},
		"no zone": {
			func(lb *model.LoadBalancer) { lb.AvailabilityZone = 5 },
			"availability_zone: availability_zone must be the metadata of a zone or its name.",
		},
		"zone name": {
			func(lb *model.LoadBalancer) { lb.AvailabilityZone = "az1" },
			`availability_zone: Availability zones are not supported yet ("az1"); create the load balancer without one.`,
		},
		"SCTP": {
			func(lb *model.LoadBalancer) { lb.Listeners[0].Protocol, lb.Listeners[0].DefaultPoolID = "SCTP", "" },
			"listeners[0].protocol: Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP.",
		},
		"headers of PROMETHEUS": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0] = model.Listener{
					ID: listenerID, Protocol: "PROMETHEUS", ProtocolPort: 8088, InsertHeaders: map[string]string{"X-Forwarded-For": "true"},
				}
			},
			"listeners[0].insert_headers: A listener of protocol PROMETHEUS sees no headers; use an HTTP listener to insert X-Forwarded-For.",
		},
		"policy of PROMETHEUS": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0] = model.Listener{
					ID: listenerID, Protocol: "PROMETHEUS", ProtocolPort: 8088,
					L7Policies: []model.L7Policy{{ID: otherID, Action: "REJECT", Position: 1}},
				}
			},
			"listeners[0].l7policies[0]: A PROMETHEUS listener serves the load balancer's own metrics and has no L7 policies; use an HTTP listener for them.",
		},
		"certificate of PROMETHEUS": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0] = model.Listener{
					ID: listenerID, Protocol: "PROMETHEUS", ProtocolPort: 8088, DefaultTLSContainerRef: "ref",
				}
			},
			"listeners[0].default_tls_container_ref: A listener of protocol PROMETHEUS has no default_tls_container_ref; use a TERMINATED_HTTPS listener.",
		},
		"headers of TCP": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0].Protocol, lb.Listeners[0].InsertHeaders = "TCP", map[string]string{"X-Forwarded-For": "true"}
			},
			"listeners[0].insert_headers: A listener of protocol TCP sees no headers; use an HTTP listener to insert X-Forwarded-For.",
		},
		"headers of TLS": {
			onListener(func(l *model.Listener) { l.InsertHeaders = map[string]string{"X-SSL-Client-CN": "true"} }),
			"listeners[0].insert_headers: A listener of protocol HTTP sees no certificates of clients; use a TERMINATED_HTTPS listener to insert X-SSL-Client-CN.",
		},
		"header that cannot be printed": {
			onListener(func(l *model.Listener) { l.InsertHeaders = map[string]string{"X\r\n\xff": "true"} }),
			"listeners[0].insert_headers: The header X??? cannot be inserted; insert_headers can have X-Forwarded-For, X-Forwarded-Port and X-Forwarded-Proto.",
		},
		"certificate": {
			onListener(func(l *model.Listener) { l.DefaultTLSContainerRef = "ref" }),
			"listeners[0].default_tls_container_ref: A listener of protocol HTTP has no default_tls_container_ref; use a TERMINATED_HTTPS listener.",
		},
		"certificate data": {
			onListener(func(l *model.Listener) { l.DefaultTLSContainer = &model.TLSContainer{PrivateKey: "K"} }),
			"listeners[0].default_tls_container_ref: A listener of protocol HTTP has no default_tls_container_ref; use a TERMINATED_HTTPS listener.",
		},
		"SNI": {
			onListener(func(l *model.Listener) { l.SNIContainerRefs = []string{"ref"} }),
			"listeners[0].sni_container_refs: A listener of protocol HTTP has no sni_container_refs; use a TERMINATED_HTTPS listener.",
		},
		"client CA": {
			onListener(func(l *model.Listener) { l.ClientCATLSContainerRef = "ref" }),
			"listeners[0].client_ca_tls_container_ref: A listener of protocol HTTP has no client_ca_tls_container_ref; use a TERMINATED_HTTPS listener.",
		},
		"client CRL": {
			onListener(func(l *model.Listener) { l.ClientCRLContainerRef = "ref" }),
			"listeners[0].client_crl_container_ref: A listener of protocol HTTP has no client_crl_container_ref; use a TERMINATED_HTTPS listener.",
		},
		"client authentication": {
			onListener(func(l *model.Listener) { l.ClientAuthentication = "OPTIONAL" }),
			"listeners[0].client_authentication: A listener of protocol HTTP has no client_authentication; use a TERMINATED_HTTPS listener.",
		},
		"HSTS": {
			onListener(func(l *model.Listener) { l.HSTSMaxAge = &age }),
			"listeners[0].hsts_max_age: A listener of protocol HTTP has no hsts_max_age; use a TERMINATED_HTTPS listener.",
		},
		"HSTS preload": {
			onListener(func(l *model.Listener) { l.HSTSPreload = true }),
			"listeners[0].hsts_max_age: A listener of protocol HTTP has no hsts_max_age; use a TERMINATED_HTTPS listener.",
		},
		"rule about TLS": {
			onRule(func(r *model.L7Rule) { r.Type = "SSL_DN_FIELD" }),
			"listeners[0].l7policies[0].rules[0].type: A listener of protocol HTTP sees no certificates of clients; use a TERMINATED_HTTPS " +
				"listener for rules of type SSL_DN_FIELD.",
		},
		"rule about a certificate": {
			onRule(func(r *model.L7Rule) { r.Type = "SSL_CONN_HAS_CERT" }),
			"listeners[0].l7policies[0].rules[0].type: A listener of protocol HTTP sees no certificates of clients; use a TERMINATED_HTTPS " +
				"listener for rules of type SSL_CONN_HAS_CERT.",
		},
		"rule about a verification": {
			onRule(func(r *model.L7Rule) { r.Type = "SSL_VERIFY_RESULT" }),
			"listeners[0].l7policies[0].rules[0].type: A listener of protocol HTTP sees no certificates of clients; use a TERMINATED_HTTPS " +
				"listener for rules of type SSL_VERIFY_RESULT.",
		},
		"pool SCTP": {
			func(lb *model.LoadBalancer) { lb.Pools[0].Protocol, lb.Listeners[0].DefaultPoolID = "SCTP", "" },
			"pools[0].protocol: Envoy has no SCTP; use a TCP pool, or the provider amphora for SCTP.",
		},
		"limit of UDP": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0].Protocol, lb.Listeners[0].DefaultPoolID, lb.Listeners[0].ConnectionLimit = "UDP", "", 5
			},
			"listeners[0].connection_limit: A connection limit is not supported for UDP; leave connection_limit at -1, which is no limit.",
		},
		"least connections of UDP": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0].Protocol, lb.Pools[0].Protocol, lb.Pools[0].LBAlgorithm = "UDP", "UDP", "LEAST_CONNECTIONS"
			},
			"pools[0].lb_algorithm: The algorithm LEAST_CONNECTIONS is not supported for UDP, which has no connections to count; use ROUND_ROBIN, SOURCE_IP or SOURCE_IP_PORT.",
		},
		"cookie of a TCP pool": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0].DefaultPoolID, lb.Pools[0].Protocol = "", "TCP"
				lb.Pools[0].SessionPersistence = &model.SessionPersistence{Type: "HTTP_COOKIE"}
			},
			"pools[0].session_persistence: A pool of protocol TCP sees no cookies; use session persistence SOURCE_IP, or an HTTP pool.",
		},
		"cookie of a TCP listener": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0].Protocol = "TCP"
				lb.Pools[0].SessionPersistence = &model.SessionPersistence{Type: "APP_COOKIE", CookieName: "c"}
			},
			"listeners[0].default_pool_id: A listener of protocol TCP sees no cookies; use an HTTP listener, or a pool with session persistence SOURCE_IP.",
		},
		"persistence timeout": {
			onPool(func(p *model.Pool) {
				p.SessionPersistence = &model.SessionPersistence{Type: "SOURCE_IP", PersistenceTimeout: 60}
			}),
			"pools[0].session_persistence: A persistence_timeout is not supported: a client stays on its member for good; create the pool without it.",
		},
		"persistence granularity": {
			onPool(func(p *model.Pool) {
				p.SessionPersistence = &model.SessionPersistence{Type: "SOURCE_IP", PersistenceGranularity: "255.255.255.0"}
			}),
			"pools[0].session_persistence: A persistence_granularity is not supported: each address is a client of its own; create the pool without it.",
		},
		"pool certificate": {
			onPool(func(p *model.Pool) { p.TLSContainerRef = "ref" }),
			"pools[0].tls_container_ref: It is for TLS to the members; set tls_enabled, too.",
		},
		"pool CA": {
			onPool(func(p *model.Pool) { p.CATLSContainerRef = "ref" }),
			"pools[0].ca_tls_container_ref: It is for TLS to the members; set tls_enabled, too.",
		},
		"pool CRL": {
			onPool(func(p *model.Pool) { p.CRLContainerRef = "ref" }),
			"pools[0].crl_container_ref: It is for TLS to the members; set tls_enabled, too.",
		},
		"TLS of UDP": {
			func(lb *model.LoadBalancer) {
				lb.Listeners[0].Protocol, lb.Pools[0].Protocol, lb.Pools[0].TLSEnabled = "UDP", "UDP", true
			},
			"pools[0].tls_enabled: TLS to the members is not supported for UDP; leave tls_enabled off.",
		},
		"SCTP monitor": {
			onMonitor(func(h *model.HealthMonitor) { h.Type = "SCTP" }),
			"pools[0].healthmonitor.type: Health monitors of the type SCTP are not supported, Envoy has no SCTP; use UDP-CONNECT, or TCP with the " +
				"monitor_port of something that answers beside it.",
		},
		"SR-IOV": {
			onMember(func(m *model.Member) { m.VNICType = "direct" }),
			"pools[0].members[0].vnic_type: SR-IOV ports of members are not supported; create the member without request_sriov.",
		},
	}
}

// everything asks for all at once.
func everything(lb *model.LoadBalancer) {
	for _, test := range unsupported() {
		test.change(lb)
	}
}

func TestUnsupported(t *testing.T) {
	for name, test := range unsupported() {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			test.change(lb)
			problems := capabilities.Check(lb)
			assert.Equal(t, []string{test.want}, lines(problems))
			assert.Equal(t, capabilities.Unsupported, problems[0].Kind)
		})
	}
}

// invalid is what is wrong in any tree of Octavia's, with the sentence that the user reads.
func invalid() map[string]refusal {
	return map[string]refusal{
		"load balancer id": {
			func(lb *model.LoadBalancer) { lb.ID = "x"; lb.Listeners, lb.Pools = nil, nil },
			`loadbalancer_id: loadbalancer_id must be a UUID, not "x".`,
		},
		"other spelling of a UUID": {
			onListener(func(l *model.Listener) { l.ID = strings.ReplaceAll(listenerID, "-", "") }),
			`listeners[0].listener_id: listener_id must be a UUID, not "20000000000040008000000000000001".`,
		},
		"member id": {
			onMember(func(m *model.Member) { m.ID = "" }),
			`pools[0].members[0].member_id: member_id must be a UUID, not "".`,
		},
		"VIP": {
			func(lb *model.LoadBalancer) { lb.VIPAddress = "10.0.0.256" },
			`vip_address: vip_address must be an IPv4 or IPv6 address, not "10.0.0.256".`,
		},
		"additional VIP": {
			func(lb *model.LoadBalancer) { lb.AdditionalVIPs = []model.AdditionalVIP{{IPAddress: "fe80::1%vip0"}} },
			`additional_vips: The ip_address of additional_vips must be an IPv4 or IPv6 address, not "fe80::1%vip0".`,
		},
		"additional VIP without address": {
			func(lb *model.LoadBalancer) { lb.AdditionalVIPs = []model.AdditionalVIP{{SubnetID: otherID}} },
			`additional_vips: The ip_address of additional_vips must be an IPv4 or IPv6 address, not "".`,
		},
		"the VIP again": {
			func(lb *model.LoadBalancer) { lb.AdditionalVIPs = []model.AdditionalVIP{{IPAddress: "2001:DB8:0::5"}} },
			"additional_vips: The load balancer has the address 2001:db8::5 twice.",
		},
		"an additional VIP twice": {
			func(lb *model.LoadBalancer) {
				lb.AdditionalVIPs = []model.AdditionalVIP{{IPAddress: "192.0.2.5"}, {IPAddress: "192.0.2.5"}}
			},
			"additional_vips: The load balancer has the address 192.0.2.5 twice.",
		},
		"monitor address": {
			onMember(func(m *model.Member) { m.MonitorAddress = "web1.example.org" }),
			`pools[0].members[0].monitor_address: monitor_address must be an IPv4 or IPv6 address, not "web1.example.org".`,
		},
		"monitor address with a zone": {
			onMember(func(m *model.Member) { m.MonitorAddress = "fe80::1%eth0" }),
			`pools[0].members[0].monitor_address: monitor_address must be an IPv4 or IPv6 address, not "fe80::1%eth0".`,
		},
		"monitor port": {
			onMember(func(m *model.Member) { m.MonitorPort = 65536 }),
			"pools[0].members[0].monitor_port: monitor_port must be between 1 and 65535, not 65536.",
		},
		"negative monitor port": {
			onMember(func(m *model.Member) { m.MonitorPort = -1 }),
			"pools[0].members[0].monitor_port: monitor_port must be between 1 and 65535, not -1.",
		},
		"duplicate listener": {
			func(lb *model.LoadBalancer) {
				second := lb.Listeners[0]
				second.ProtocolPort = 81
				lb.Listeners = append(lb.Listeners, second)
			},
			"listeners[1].listener_id: listener_id " + listenerID + " comes twice in the load balancer.",
		},
		"listener of another": {
			onListener(func(l *model.Listener) { l.LoadBalancerID = otherID }),
			`listeners[0].loadbalancer_id: loadbalancer_id must be "` + lbID + `", the object that it is in, not "` + otherID + `".`,
		},
		"protocol": {
			onListener(func(l *model.Listener) { l.Protocol = "GOPHER" }),
			`listeners[0].protocol: "GOPHER" is not a value of protocol in Octavia; supported are HTTP, TCP, HTTPS, TERMINATED_HTTPS, UDP and PROMETHEUS.`,
		},
		"port 0": {
			onListener(func(l *model.Listener) { l.ProtocolPort = 0 }),
			"listeners[0].protocol_port: protocol_port must be between 1 and 65535, not 0.",
		},
		"port 65536": {
			onListener(func(l *model.Listener) { l.ProtocolPort = 65536 }),
			"listeners[0].protocol_port: protocol_port must be between 1 and 65535, not 65536.",
		},
		"port taken": {
			func(lb *model.LoadBalancer) {
				second := lb.Listeners[0]
				second.ID, second.Protocol = otherID, "TCP"
				lb.Listeners = append(lb.Listeners, second)
			},
			"listeners[1].protocol_port: Port 80 is taken by the listener " + listenerID + ", which is HTTP over the same transport.",
		},
		"connection limit": {
			onListener(func(l *model.Listener) { l.ConnectionLimit = -2 }),
			"listeners[0].connection_limit: connection_limit must be between -1 and 2147483647, where -1 is no limit, not -2.",
		},
		"connection limit of 64 bits": {
			onListener(func(l *model.Listener) { l.ConnectionLimit = 1 << 31 }),
			"listeners[0].connection_limit: connection_limit must be between -1 and 2147483647, where -1 is no limit, not 2147483648.",
		},
		"inspect timeout": {
			onListener(func(l *model.Listener) { l.TimeoutTCPInspect = -1 }),
			"listeners[0].timeout_tcp_inspect: timeout_tcp_inspect must be between 0 and 2073600000 ms, not -1.",
		},
		"header neither true nor false": {
			onListener(func(l *model.Listener) { l.InsertHeaders = map[string]string{"X-Forwarded-For": "yes"} }),
			`listeners[0].insert_headers: The header X-Forwarded-For of insert_headers must be true or false, not "yes".`,
		},
		"timeout": {
			onListener(func(l *model.Listener) { l.TimeoutClientData = -1 }),
			"listeners[0].timeout_client_data: timeout_client_data must be between 0 and 2073600000 ms, not -1.",
		},
		"connect timeout": {
			onListener(func(l *model.Listener) { l.TimeoutMemberConnect = 2073600001 }),
			"listeners[0].timeout_member_connect: timeout_member_connect must be between 0 and 2073600000 ms, not 2073600001.",
		},
		"data timeout": {
			onListener(func(l *model.Listener) { l.TimeoutMemberData = -1 }),
			"listeners[0].timeout_member_data: timeout_member_data must be between 0 and 2073600000 ms, not -1.",
		},
		"pool id": {
			onListener(func(l *model.Listener) { l.DefaultPoolID = "web" }),
			`listeners[0].default_pool_id: default_pool_id must be a UUID, not "web".`,
		},
		"no such pool": {
			onListener(func(l *model.Listener) { l.DefaultPoolID = otherID }),
			"listeners[0].default_pool_id: The load balancer has no pool " + otherID + ".",
		},
		"combination": {
			onPool(func(p *model.Pool) { p.Protocol = "TCP" }),
			"listeners[0].default_pool_id: A listener of protocol HTTP cannot have a pool of protocol TCP; it can have HTTP, PROXY and PROXYV2.",
		},
		"pool of PROMETHEUS": {
			onListener(func(l *model.Listener) { l.Protocol = "PROMETHEUS" }),
			"listeners[0].default_pool_id: A PROMETHEUS listener serves the load balancer's own metrics and has no pool; leave default_pool_id empty.",
		},
		"pool protocol": {
			func(lb *model.LoadBalancer) { lb.Pools[0].Protocol, lb.Listeners[0].DefaultPoolID = "", "" },
			`pools[0].protocol: "" is not a value of protocol in Octavia; supported are HTTP, TCP, HTTPS, PROXY, PROXYV2 and UDP.`,
		},
		"algorithm": {
			onPool(func(p *model.Pool) { p.LBAlgorithm = "RANDOM" }),
			`pools[0].lb_algorithm: "RANDOM" is not a value of lb_algorithm in Octavia; supported are ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_IP and SOURCE_IP_PORT.`,
		},
		"long value": {
			onPool(func(p *model.Pool) { p.LBAlgorithm = strings.Repeat("é", 100) }),
			`pools[0].lb_algorithm: "` + strings.Repeat("é", 64) + `…" is not a value of lb_algorithm in Octavia; supported are ROUND_ROBIN, LEAST_CONNECTIONS, SOURCE_IP and SOURCE_IP_PORT.`,
		},
		"CIDR": {
			onListener(func(l *model.Listener) { l.AllowedCIDRs = []string{"10.0.0.0/8", "10.0.0.0/33"} }),
			`listeners[0].allowed_cidrs: allowed_cidrs must be addresses with the length of a prefix, as 192.0.2.0/24, not "10.0.0.0/33".`,
		},
		"address for a CIDR": {
			onListener(func(l *model.Listener) { l.AllowedCIDRs = []string{"10.0.0.1"} }),
			`listeners[0].allowed_cidrs: allowed_cidrs must be addresses with the length of a prefix, as 192.0.2.0/24, not "10.0.0.1".`,
		},
		"persistence": {
			onPool(func(p *model.Pool) { p.SessionPersistence = &model.SessionPersistence{Type: "STICKY"} }),
			`pools[0].session_persistence: "STICKY" is not a value of session_persistence in Octavia; supported are SOURCE_IP, HTTP_COOKIE and APP_COOKIE.`,
		},
		"cookie without a name": {
			onPool(func(p *model.Pool) { p.SessionPersistence = &model.SessionPersistence{Type: "APP_COOKIE"} }),
			`pools[0].session_persistence: cookie_name must be a token of 1 to 255 characters, not "".`,
		},
		"cookie's name": {
			onPool(func(p *model.Pool) {
				p.SessionPersistence = &model.SessionPersistence{Type: "APP_COOKIE", CookieName: "a=b"}
			}),
			`pools[0].session_persistence: cookie_name must be a token of 1 to 255 characters, not "a=b".`,
		},
		"port taken by UDP": {
			func(lb *model.LoadBalancer) {
				second := model.Listener{ID: otherID, Protocol: "UDP", ProtocolPort: 80}
				third := second
				third.ID = "20000000-0000-4000-8000-000000000009"
				lb.Listeners = append(lb.Listeners, second, third)
			},
			"listeners[2].protocol_port: Port 80 is taken by the listener " + otherID + ", which is UDP over the same transport.",
		},
		"address": {
			onMember(func(m *model.Member) { m.Address = "web1.example.org" }),
			`pools[0].members[0].address: address must be an IPv4 or IPv6 address, not "web1.example.org".`,
		},
		"address with a zone": {
			onMember(func(m *model.Member) { m.Address = "fe80::1%eth0" }),
			`pools[0].members[0].address: address must be an IPv4 or IPv6 address, not "fe80::1%eth0".`,
		},
		"member port": {
			onMember(func(m *model.Member) { m.ProtocolPort = -1 }),
			"pools[0].members[0].protocol_port: protocol_port must be between 1 and 65535, not -1.",
		},
		"weight": {
			onMember(func(m *model.Member) { m.Weight = 257 }),
			"pools[0].members[0].weight: weight must be between 0 and 256, not 257.",
		},
		"same member, mapped": {
			func(lb *model.LoadBalancer) {
				pool := &lb.Pools[0]
				second := pool.Members[0]
				second.ID, second.Address = otherID, "::ffff:192.0.2.1"
				pool.Members = append(pool.Members, second)
			},
			"pools[0].members[1].address: 192.0.2.1:80 is in the pool already, as the member " + memberID + ".",
		},
		"same member": {
			func(lb *model.LoadBalancer) {
				pool := &lb.Pools[0]
				pool.Members[0].Address = "2001:db8::1"
				second := pool.Members[0]
				second.ID, second.Address = otherID, "2001:DB8:0::1"
				pool.Members = append(pool.Members, second)
			},
			"pools[0].members[1].address: [2001:db8::1]:80 is in the pool already, as the member " + memberID + ".",
		},
	}
}

func TestInvalid(t *testing.T) {
	for name, test := range invalid() {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			test.change(lb)
			problems := capabilities.Check(lb)
			assert.Equal(t, []string{test.want}, lines(problems))
			assert.Equal(t, capabilities.Invalid, problems[0].Kind)
		})
	}
}
