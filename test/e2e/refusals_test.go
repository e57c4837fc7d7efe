package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refusal is a call that is refused, and what its user reads.
type refusal struct {
	name string
	// cli is the call as words of the openstack command; else it is a request of the API.
	cli          string
	method, path string
	body         fields
	// status is of HTTP; sentence is what the provider says, or Octavia itself where its own checks come first.
	status   int
	sentence string
}

// TestRefusals sends what cannot be had, a row a call. Each is refused with a sentence for its user, and leaves nothing: the
// load balancer is ACTIVE, no object is made or changed, and no port of a VIP. It runs alone, so that all ports are known.
func TestRefusals(t *testing.T) {
	c := shared
	s := c.populate(t, "e2e-refusals", []fields{
		listener("web", "HTTP", 80, "web", fields{"l7policies": []fields{{
			"name": "away", "action": "REDIRECT_TO_URL", "redirect_url": "http://away.example.com/",
			"rules": []fields{{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/away"}},
		}}}),
		listener("tcp", "TCP", 7, "tcp"),
	}, []fields{
		pool("web", "HTTP", []fields{c.member(1, 80)}), pool("tcp", "TCP", c.members(7)), pool("udp", "UDP", c.members(53)),
	})
	rows := append(s.refusedLoadBalancers(t), s.refusedListeners(t)...)
	rows = append(rows, s.refusedPools(t)...)
	rows = append(rows, s.refusedPolicies(t)...)
	before := s.everything(t)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			status, said := s.send(t, row)
			t.Logf("%d: %s", status, said)
			if status != row.status || !strings.Contains(said, row.sentence) {
				t.Errorf("got %d: %s\nnot %d: %s", status, said, row.status, row.sentence)
			}
			c.settle(t, s.lb.ID)
			after := s.everything(t)
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("the refusal left (-before +after):\n%s", diff)
				before = after // so that the next row answers for itself
			}
		})
	}
	s.allActive(t)
	c.answers(t, s.at(80), "/", "200 member1")
	c.answers(t, s.at(80), "/away", "http://away.example.com/")
}

// send makes a row's call, and returns the status of HTTP and what the user reads.
func (s *tree) send(t *testing.T, row refusal) (int, string) {
	t.Helper()
	if row.cli == "" {
		status, said := s.refusal(t, row.method, row.path, row.body)
		var fault struct{ FaultString string }
		if err := json.Unmarshal([]byte(said), &fault); err == nil {
			said = fault.FaultString
		}
		return status, said
	}
	_, stderr, err := s.try(t, s.env["OPENSTACK"], strings.Fields(row.cli)...)
	if err == nil {
		return http.StatusOK, ""
	}
	said, code, _ := strings.Cut(stderr, " (HTTP ")
	status := 0
	if _, err := fmt.Sscanf(code, "%d)", &status); err != nil {
		t.Fatalf("no status in: %s", stderr)
	}
	return status, said
}

// everything is what a call could leave: the objects below the load balancer, all policies, load balancers, flavors and
// zones, with their provisioning states, and the VIP ports.
func (s *tree) everything(t *testing.T) []string {
	t.Helper()
	var all []string
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case []any:
			for _, item := range value {
				walk(item)
			}
		case fields:
			if id, ok := value["id"]; ok {
				all = append(all, fmt.Sprint(id, " ", value["name"], " ", value["provisioning_status"], " ", value["lb_algorithm"], value["value"]))
			}
			for _, below := range value {
				walk(below)
			}
		}
	}
	for _, path := range []string{
		"loadbalancers/" + s.lb.ID + "/status", "loadbalancers", "pools", "l7policies", "l7policies/" + s.id(t, "policy away") + "/rules",
		"flavorprofiles", "availabilityzoneprofiles",
	} {
		var answer fields
		if err := s.call(t, http.MethodGet, path, nil, &answer); err != nil {
			t.Fatal(err)
		}
		walk(answer)
	}
	var ports fields
	if _, err := s.network.Get(t.Context(), s.network.ServiceURL("ports")+"?device_owner=Octavia", &ports, nil); err != nil { //nolint:bodyclose // read by gophercloud
		t.Fatal(err)
	}
	walk(ports)
	slices.Sort(all)
	return all
}

const (
	// unsupported is how Octavia begins what a provider says.
	unsupported = "Provider 'envoy' does not support a requested option: "
	// tlsGap is what versions with one in between left out come to.
	tlsGap = "The TLS versions cannot be served: TLSv1.2 is missing between TLSv1.1 and TLSv1.3: a gap is not supported, add it or leave out " +
		"one of the two."
)

func (s *tree) refusedLoadBalancers(t *testing.T) []refusal {
	t.Helper()
	refused := func(name string, attributes fields, sentence string) refusal {
		return refusal{
			name: name, method: http.MethodPost, path: "loadbalancers", status: http.StatusNotImplemented, sentence: unsupported + sentence,
			body: fields{"loadbalancer": with(fields{"name": "e2e-refused", "vip_subnet_id": s.subnet}, attributes)},
		}
	}
	flavor := func(name, data, sentence string) refusal {
		return refusal{
			name: name, method: http.MethodPost, path: "flavorprofiles", status: http.StatusNotImplemented, sentence: unsupported + sentence,
			body: fields{"flavorprofile": fields{"name": "e2e-refused", "provider_name": "envoy", "flavor_data": data}},
		}
	}
	return []refusal{
		refused("QoS policy", fields{"vip_qos_policy_id": s.neutron(t, "qos/policies", "policy", fields{"name": "e2e"})},
			"QoS policies on the VIP are not supported yet, nothing would apply them; leave the load balancer, and a VIP port of your own, without one."),
		refused("security group", fields{"vip_sg_ids": []string{s.neutron(t, "security-groups", "security_group", fields{"name": "e2e"})}},
			"Security groups on the VIP are not supported yet, nothing would enforce them; use allowed_cidrs of the listeners instead."),
		refused("listener of a whole load balancer", fields{"listeners": []fields{
			listener("web", "HTTP", 80, ""), listener("sctp", "SCTP", 9000, ""),
		}}, "listeners[1].protocol: Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP."),
		refused("health monitor of a whole load balancer", fields{"pools": []fields{pool("web", "HTTP", s.members(80), fields{
			"healthmonitor": fields{"type": "HTTP", "delay": 0, "timeout": 3, "max_retries": 3},
		})}, "listeners": []fields{listener("web", "HTTP", 80, "web")}},
			"pools[0].healthmonitor.delay: A delay of 0 seconds or of more than 2147483 is not supported; use one between."),
		flavor("topology ACTIVE_STANDBY", `{"loadbalancer_topology": "ACTIVE_STANDBY"}`,
			"The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE."),
		flavor("unknown key of a flavor", `{"colour": "green"}`, `flavor.colour is unknown. flavor has the keys access_log`),
		{
			name: "availability zone", method: http.MethodPost, path: "availabilityzoneprofiles", status: http.StatusNotImplemented,
			sentence: unsupported + `Availability zones are not supported yet (the key "compute_zone"); create the load balancer without one.`,
			body: fields{"availability_zone_profile": fields{
				"name": "e2e-refused", "provider_name": "envoy", "availability_zone_data": `{"compute_zone": "nova"}`,
			}},
		},
	}
}

func (s *tree) refusedListeners(t *testing.T) []refusal {
	t.Helper()
	refused := func(name, protocol string, attributes fields, status int, sentence string) refusal {
		if status == http.StatusNotImplemented {
			sentence = unsupported + sentence
		}
		return refusal{
			name: name, method: http.MethodPost, path: "listeners", status: status, sentence: sentence, body: fields{"listener": with(
				fields{"loadbalancer_id": s.lb.ID, "name": "e2e-refused", "protocol": protocol, "protocol_port": 9000}, attributes)},
		}
	}
	const ours, octavias = http.StatusNotImplemented, http.StatusBadRequest
	return []refusal{
		refused("SCTP listener", "SCTP", nil, ours, "Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP."),
		refused("gap in the TLS versions", "TERMINATED_HTTPS", fields{
			"default_tls_container_ref": s.certificate(t, "www.example.com"), "tls_versions": []string{"TLSv1.1", "TLSv1.3"},
		}, ours, tlsGap),
		refused("ciphers that Envoy has not", "TERMINATED_HTTPS", fields{
			"default_tls_container_ref": s.certificate(t, "www.example.com"), "tls_ciphers": "DHE-RSA-AES128-GCM-SHA256",
		}, ours, "Of the ciphers none is supported for TLS 1.2 and below (DHE-RSA-AES128-GCM-SHA256); add for instance "+
			"ECDHE-RSA-AES128-GCM-SHA256 and ECDHE-ECDSA-AES128-GCM-SHA256."),
		refused("connection limit of UDP", "UDP", fields{"connection_limit": 5}, ours,
			"A connection limit is not supported for UDP; leave connection_limit at -1, which is no limit."),
		refused("header with another value", "HTTP", fields{"insert_headers": fields{"X-Forwarded-For": "yes"}}, ours,
			`The header X-Forwarded-For of insert_headers must be true or false, not "yes".`),
		refused("headers of TCP", "TCP", fields{"insert_headers": fields{"X-Forwarded-For": "true"}}, octavias,
			"insert-headers is not a valid option for a TCP protocol listener."),
		refused("headers of TLS", "HTTP", fields{"insert_headers": fields{"X-SSL-Client-CN": "true"}}, octavias,
			"['X-SSL-Client-CN'] is not a valid option for HTTP protocol listener."),
		refused("CIDR", "HTTP", fields{"allowed_cidrs": []string{"192.0.2.0/33"}}, octavias,
			"Value should be IPv4 or IPv6 CIDR format"),
		refused("timeout", "HTTP", fields{"timeout_client_data": -1}, octavias,
			"Invalid input for field/attribute timeout_client_data. Value: '-1'. Value should be greater or equal to 0"),
		refused("port 0", "HTTP", fields{"protocol_port": 0}, octavias,
			"Invalid input for field/attribute protocol_port. Value: '0'. Value should be greater or equal to 1"),
		refused("port that is taken", "HTTP", fields{"protocol_port": 7}, http.StatusConflict,
			"Another Listener on this Load Balancer is already using protocol TCP and protocol_port 7"),
		refused("HTTP pool of a UDP listener", "UDP", fields{"default_pool_id": s.id(t, "pool web")}, octavias,
			"The pool protocol 'HTTP' is invalid while the listener protocol is 'UDP'."),
		refused("TCP pool of an HTTP listener", "HTTP", fields{"default_pool_id": s.id(t, "pool tcp")}, octavias,
			"The pool protocol 'TCP' is invalid while the listener protocol is 'HTTP'."),
		refused("UDP pool of a TCP listener", "TCP", fields{"default_pool_id": s.id(t, "pool udp")}, octavias,
			"The pool protocol 'UDP' is invalid while the listener protocol is 'TCP'."),
	}
}

func (s *tree) refusedPools(t *testing.T) []refusal {
	t.Helper()
	refused := func(name, protocol string, attributes fields, status int, sentence string) refusal {
		if status == http.StatusNotImplemented {
			sentence = unsupported + sentence
		}
		return refusal{
			name: name, method: http.MethodPost, path: "pools", status: status, sentence: sentence, body: fields{"pool": with(
				fields{"loadbalancer_id": s.lb.ID, "name": "e2e-refused", "protocol": protocol, "lb_algorithm": "ROUND_ROBIN"}, attributes)},
		}
	}
	persistence := func(attributes ...fields) fields { return fields{"session_persistence": with(fields{}, attributes...)} }
	changed := func(name, pool string, change fields, sentence string) refusal {
		return refusal{
			name: name, method: http.MethodPut, path: "pools/" + s.id(t, "pool "+pool), status: http.StatusNotImplemented,
			sentence: unsupported + sentence, body: fields{"pool": change},
		}
	}
	const ours, octavias = http.StatusNotImplemented, http.StatusBadRequest
	const leastOfUDP = "The algorithm LEAST_CONNECTIONS is not supported for UDP, which has no connections to count; " +
		"use ROUND_ROBIN, SOURCE_IP or SOURCE_IP_PORT."
	members := "pools/" + s.id(t, "pool web") + "/members"
	return []refusal{
		refused("SCTP pool", "SCTP", nil, ours, "Envoy has no SCTP; use a TCP pool, or the provider amphora for SCTP."),
		{
			name: "LEAST_CONNECTIONS of UDP", status: ours, sentence: unsupported + leastOfUDP,
			cli: "loadbalancer pool create --name e2e-refused --protocol UDP --lb-algorithm LEAST_CONNECTIONS --loadbalancer " + s.lb.ID,
		},
		changed("change to LEAST_CONNECTIONS of UDP", "udp", fields{"lb_algorithm": "LEAST_CONNECTIONS"}, leastOfUDP),
		refused("persistence_timeout", "UDP", persistence(fields{"type": "SOURCE_IP", "persistence_timeout": 60}), ours,
			"A persistence_timeout is not supported: a client stays on its member for good; create the pool without it."),
		refused("persistence_granularity", "UDP", persistence(fields{"type": "SOURCE_IP", "persistence_granularity": "255.255.255.0"}), ours,
			"A persistence_granularity is not supported: each address is a client of its own; create the pool without it."),
		refused("cookies of a TCP pool", "TCP", persistence(fields{"type": "HTTP_COOKIE"}), ours,
			"A pool of protocol TCP sees no cookies; use session persistence SOURCE_IP, or an HTTP pool."),
		refused("cookies of a UDP pool", "UDP", persistence(fields{"type": "HTTP_COOKIE"}), octavias,
			"Session persistence of type HTTP_COOKIE is not supported for UDP/SCTP protocol pools."),
		refused("application's cookie without a name", "HTTP", persistence(fields{"type": "APP_COOKIE"}), octavias,
			`Field "cookie_name" must be specified when using the "APP_COOKIE" session persistence type.`),
		refused("gap in the TLS versions to the members", "HTTP", fields{"tls_enabled": true, "tls_versions": []string{"TLSv1.1", "TLSv1.3"}}, ours, tlsGap),
		changed("change to a gap in the TLS versions", "web", fields{"tls_enabled": true, "tls_versions": []string{"TLSv1.1", "TLSv1.3"}}, tlsGap),
		{
			name: "member that is there", method: http.MethodPost, path: members, status: http.StatusConflict,
			sentence: "Another member on this pool is already using ip 203.0.113.21 on protocol_port 80", body: fields{"member": s.member(1, 80)},
		},
		{
			name: "weight", method: http.MethodPost, path: members, status: octavias, sentence: "Value: '257'. Value should be lower or equal to 256",
			body: fields{"member": s.member(2, 80, fields{"weight": 257})},
		},
		{
			name: "SR-IOV", method: http.MethodPost, path: members, status: octavias, sentence: "The load balancer flavor does not allow SR-IOV member ports.",
			body: fields{"member": s.member(2, 80, fields{"request_sriov": true})},
		},
		{
			name: "health monitor", status: ours, sentence: unsupported + "A timeout of more than 50 seconds is not supported: " +
				"a member that never answers would hold up each change of its pool for so long; use a shorter one.",
			cli: "loadbalancer healthmonitor create --type HTTP --delay 5 --timeout 51 --max-retries 3 " + s.id(t, "pool web"),
		},
	}
}

func (s *tree) refusedPolicies(t *testing.T) []refusal {
	t.Helper()
	policy := func(name, listener string, attributes fields, status int, sentence string) refusal {
		return refusal{
			name: name, method: http.MethodPost, path: "l7policies", status: status, sentence: sentence, body: fields{"l7policy": with(
				fields{"listener_id": s.id(t, "listener "+listener), "name": "e2e-refused", "action": "REJECT"}, attributes)},
		}
	}
	rules := "l7policies/" + s.id(t, "policy away") + "/rules"
	rule := func(name string, status int, sentence string, attributes fields) refusal {
		return refusal{
			name: name, method: http.MethodPost, path: rules, status: status, sentence: sentence,
			body: fields{"rule": with(fields{"compare_type": "EQUAL_TO", "value": "x"}, attributes)},
		}
	}
	const ours, octavias = http.StatusNotImplemented, http.StatusBadRequest
	const noTLS = "A listener of protocol HTTP sees no certificates of clients; use a TERMINATED_HTTPS listener for rules of type SSL_CONN_HAS_CERT."
	const lookahead = `The regular expression "^/(?!private)" cannot be used: `
	return []refusal{
		policy("policy of a TCP listener", "tcp", nil, ours, unsupported+
			"A listener of protocol TCP cannot have L7 policies, as it does not read requests; use an HTTP listener."),
		policy("redirect to no URL", "web", fields{"action": "REDIRECT_TO_URL", "redirect_url": "away"}, octavias,
			"Invalid input for field/attribute redirect_url. Value: 'away'. Value must be a valid URL string"),
		policy("redirect to a TCP pool", "web", fields{"action": "REDIRECT_TO_POOL", "redirect_pool_id": s.id(t, "pool tcp")}, octavias,
			"The pool protocol 'TCP' is invalid while the listener protocol is 'HTTP'."),
		policy("redirect code", "web", fields{
			"action": "REDIRECT_TO_URL", "redirect_url": "http://away.example.com/", "redirect_http_code": 304,
		}, octavias, "Value should be one of: 301, 302, 303, 307, 308"),
		rule("lookahead", ours, unsupported+lookahead, fields{"type": "PATH", "compare_type": "REGEX", "value": "^/(?!private)"}),
		{
			name: "change to a lookahead", method: http.MethodPut, path: rules + "/" + s.id(t, "rule away/0"), status: ours,
			sentence: unsupported + lookahead, body: fields{"rule": fields{"compare_type": "REGEX", "value": "^/(?!private)"}},
		},
		rule("backreference", ours, unsupported+`The regular expression "(a)\\1" cannot be used: `,
			fields{"type": "PATH", "compare_type": "REGEX", "value": `(a)\1`}),
		rule("client certificate", ours, unsupported+noTLS,
			fields{"type": "SSL_CONN_HAS_CERT", "value": "True"}),
		rule("header of the connection", ours, unsupported+
			"Rules on the header Connection are not supported, as Envoy replaces or removes it before they are looked at; use another header.",
			fields{"type": "HEADER", "key": "Connection"}),
		rule("beginning of a file type", octavias, "Invalid L7 Rule: invalid comparison type for rule type", fields{"type": "FILE_TYPE", "compare_type": "STARTS_WITH"}),
		rule("header without a name", octavias, "Invalid L7 Rule: L7 rule type requires a key", fields{"type": "HEADER"}),
	}
}

// neutron makes an object in Neutron; the test's end deletes it.
func (c *cloud) neutron(t *testing.T, collection, kind string, attributes fields) string {
	t.Helper()
	var answer map[string]struct{ ID string }
	url := c.network.ServiceURL(strings.Split(collection, "/")...)
	if _, err := c.network.Post(t.Context(), url, fields{kind: attributes}, &answer, nil); err != nil { //nolint:bodyclose // read by gophercloud
		t.Fatal(err)
	}
	id := answer[kind].ID
	t.Cleanup(func() {
		if _, err := c.network.Delete(context.WithoutCancel(t.Context()), url+"/"+id, nil); err != nil { //nolint:bodyclose // as above
			t.Errorf("delete %s %s: %v", kind, id, err)
		}
	})
	return id
}

// TestRefusedLater makes a load balancer by one call with a rule that cannot be had. Octavia sends such policies to no
// provider, so nothing can refuse it at once: its listener is left out, for what the policy closes must not be open, and
// that is to be seen and to be repaired.
func TestRefusedLater(t *testing.T) {
	t.Parallel()
	c := shared
	lb, err := c.create(t, "loadbalancer", "loadbalancers", fields{"name": "e2e-refused-later", "vip_subnet_id": c.subnet, "listeners": []fields{
		listener("web", "HTTP", 80, "web", fields{"l7policies": []fields{{"name": "private", "action": "REJECT", "rules": []fields{
			{"type": "PATH", "compare_type": "REGEX", "value": "^/(?!public)"},
		}}}}),
		listener("other", "HTTP", 81, "web"),
	}, "pools": []fields{pool("web", "HTTP", []fields{c.member(1, 80)})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cleanUp(t, lb.ID) })
	s := &tree{cloud: c, lb: c.settle(t, lb.ID)}
	states := func(want map[string]string) {
		t.Helper()
		got := map[string]string{}
		for name, o := range s.look(t) {
			if want[name] != "" {
				got[name] = o.ProvisioningStatus + " " + o.OperatingStatus
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	states(map[string]string{
		"listener web": "ACTIVE ERROR", "listener other": "ACTIVE ONLINE", "policy private": "ACTIVE ONLINE", "rule private/0": "ERROR OFFLINE",
	})
	c.answers(t, s.at(80), "/", "refused")
	c.answers(t, s.at(81), "/", "200 member1")
	rule := s.id(t, "rule private/0")
	if status, want := c.status(t), lb.ID+": l7rule "+rule+": value: a negative lookahead"; !strings.Contains(status, want) {
		t.Errorf("no %q in:\n%s", want, status)
	}
	s.put(t, "rule", "l7policies/"+s.id(t, "policy private")+"/rules/"+rule, fields{"value": "^/public", "invert": true})
	states(map[string]string{
		"listener web": "ACTIVE ONLINE", "listener other": "ACTIVE ONLINE", "policy private": "ACTIVE ONLINE", "rule private/0": "ACTIVE ONLINE",
	})
	c.answers(t, s.at(80), "/public", "200 member1")
	c.answers(t, s.at(80), "/", "403")
	if status := c.status(t); strings.Contains(status, lb.ID+": ") {
		t.Errorf("repaired, it is still in:\n%s", status)
	}
}
