package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestFullyPopulated makes a load balancer with everything below it by one call, which is for the API alone, and asks each
// part. Octavia sends the policies of such a call to no provider: they have to be read back.
func TestFullyPopulated(t *testing.T) {
	t.Parallel()
	c := shared
	starts := func(path string) []fields {
		return []fields{{"type": "PATH", "compare_type": "STARTS_WITH", "value": path}}
	}
	s := c.populate(t, "e2e-populated", []fields{
		listener("web", "HTTP", 80, "web", fields{"l7policies": []fields{
			// A pool of its own, a pool by its name that is another listener's, and the two that have none.
			{"name": "own", "action": "REDIRECT_TO_POOL", "rules": starts("/own"), "redirect_pool": pool("own", "HTTP", []fields{c.member(2, 80)})},
			{"name": "shared", "action": "REDIRECT_TO_POOL", "rules": starts("/shared"), "redirect_pool": fields{"name": "shared"}},
			{"name": "away", "action": "REDIRECT_TO_URL", "redirect_url": "http://away.example.com/", "rules": starts("/away")},
			{"name": "no", "action": "REJECT", "rules": append(starts("/no"), fields{
				"type": "HEADER", "key": "X-No", "compare_type": "EQUAL_TO", "value": "no", "invert": true,
			})},
		}, "insert_headers": fields{"X-Forwarded-For": "true"}}),
		listener("more", "HTTP", 81, "shared"),
		// With the default pool in the listener itself, and without one.
		listener("inline", "HTTP", 82, "", fields{"default_pool": pool("inline", "HTTP", c.members(80))}),
		listener("none", "HTTP", 83, ""),
		listener("tcp", "TCP", 7, "tcp", fields{"allowed_cidrs": []string{"203.0.113.0/24"}, "connection_limit": 100}),
		listener("udp", "UDP", 53, "udp"),
		listener("tls", "HTTPS", 443, "tls"),
	}, []fields{
		pool("web", "HTTP", []fields{c.member(1, 80)}, fields{"session_persistence": fields{"type": "HTTP_COOKIE"}}),
		pool("shared", "HTTP", []fields{c.member(2, 80)}),
		pool("tcp", "TCP", c.members(7), fields{"lb_algorithm": "LEAST_CONNECTIONS"}),
		pool("udp", "UDP", c.members(53), fields{"lb_algorithm": "SOURCE_IP_PORT"}),
		pool("tls", "PROXYV2", c.members(8081)),
	})
	want := 7 + 4 + 5 + 7 + 1 + 1 + 1 + 2 + 2 + 2 + 2 // listeners, policies, rules, pools, members
	if len(s.ids) != want {
		t.Errorf("%d objects were made, not %d: %v", len(s.ids), want, s.ids)
	}
	for path, answer := range map[string]string{
		"/": "200 member1", "/own": "200 member2", "/shared": "200 member2", "/away": "http://away.example.com/", "/no": "403",
	} {
		c.answers(t, s.at(80), path, answer)
	}
	c.answers(t, s.at(80), "/no", "200 member1", header("X-No", "no"))
	if saw := c.asSeen(t, c.client(t), "http://"+s.at(80)); saw.Headers.Get("X-Forwarded-For") != c.env["OE_CLIENT_ADDRESS"] {
		t.Errorf("the member saw %v", saw.Headers)
	}
	c.answers(t, s.at(81), "/", "200 member2")
	c.answers(t, s.at(83), "/", "503")
	if got := c.spread(t, s.at(82), 10); got["member1"] == 0 || got["member2"] == 0 {
		t.Errorf("10 requests over two members: %v", got)
	}
	if member := greet(t, c.mustDial(t, "", "tcp", s.at(7))); !strings.HasPrefix(member, "member") {
		t.Errorf("TCP is answered by %q", member)
	}
	if member, _ := tell(t, c.mustDial(t, "", "udp", s.at(53))); !strings.HasPrefix(member, "member") {
		t.Errorf("UDP is answered by %q", member)
	}
	// What the listener does not read may be HTTP as well.
	if saw := c.asSeen(t, c.client(t), "http://"+s.at(443)); saw.Proxy == nil || saw.Proxy.Version != 2 {
		t.Errorf("the member was told %+v", saw.Proxy)
	}
	// And it can be changed like any other.
	s.do(t, http.MethodDelete, "l7policies/"+s.id(t, "policy own"), nil)
	c.answers(t, s.at(80), "/own", "200 member1")
	s.allActive(t)
}
