package translate

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/haproxy"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

var l7Seed = flag.Uint64("l7seed", 2026, "what TestL7AsHAProxy draws its policies and requests from")

// TestL7AsHAProxy sends the same requests to the real Envoy and to the real HAProxy, with the same policies drawn from a
// seed, and wants the same answers: who answered, with what status, location and page.
func TestL7AsHAProxy(t *testing.T) {
	member := func(name string) string {
		return server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(name)) })
	}
	lb := &model.LoadBalancer{Pools: []model.Pool{
		pool("blue", "HTTP", member("blue")), pool("green", "HTTP", member("green")), pool("down", "HTTP", member("down")),
	}}
	lb.Pools[2].AdminStateUp = false
	draw := &l7Draw{rand.New(rand.NewPCG(*l7Seed, 7))}
	const listeners, requests = 60, 40
	ports := make([]int, listeners)
	for i := range listeners {
		l := listener(t, fmt.Sprintf("l%d", i), "HTTP", "blue")
		l.L7Policies = draw.policies(l.ID)
		lb.Listeners = append(lb.Listeners, l)
		ports[i] = hold(t)
	}
	runHAProxy(t, lb, ports)
	serve(t, lb)
	compared, outcomes := 0, map[string]int{}
	for i := range lb.Listeners {
		other := lb.Listeners[i]
		other.ProtocolPort = ports[i]
		for range requests {
			request := draw.request()
			want, got := l7Outcome(t, &other, request), l7Outcome(t, &lb.Listeners[i], request)
			compared++
			outcomes[strings.Fields(want)[0]]++
			if want != got {
				t.Errorf("%q\nHAProxy: %s\nEnvoy:   %s\n%s", request, want, got, l7Lines(&lb.Listeners[i]))
			}
		}
	}
	t.Logf("compared %d answers: %v", compared, outcomes)
	for _, status := range []string{"200", "302", "403"} {
		if outcomes[status] < 5 {
			t.Errorf("only %d answers were %s: the draw is too narrow", outcomes[status], status)
		}
	}
}

func l7Outcome(t *testing.T, l *model.Listener, request string) string {
	t.Helper()
	response, body := ask(t, l, request)
	header := response.Header
	return fmt.Sprintf("%d location=%q cache=%q length=%d body=%q", response.StatusCode, header.Get("Location"), header.Get("Cache-Control"),
		response.ContentLength, body)
}

// l7Draw draws policies, and requests that they often match.
type l7Draw struct{ *rand.Rand }

func (d *l7Draw) of(all ...string) string { return all[d.IntN(len(all))] }

func (d *l7Draw) policies(listener string) []model.L7Policy {
	policies := make([]model.L7Policy, 1+d.IntN(4))
	for i := range policies {
		policy := &policies[i]
		*policy = model.L7Policy{
			ID: fmt.Sprintf("%sp%d", listener, d.IntN(1_000_000)), AdminStateUp: d.IntN(8) > 0, Position: i + 1,
			Action:           d.of(model.L7ActionReject, model.L7ActionRedirectToURL, model.L7ActionRedirectPrefix, model.L7ActionRedirectToPool),
			RedirectURL:      d.of("https://u.example/%41?a=%20b", "http://u.example"),
			RedirectPrefix:   d.of("https://p.example", "https://p.example:8443/base/"),
			RedirectPoolID:   d.of("green", "green", "down"),
			RedirectHTTPCode: []int{0, 301, 302, 303, 307, 308}[d.IntN(6)],
		}
		for j := range d.IntN(4) {
			policy.Rules = append(policy.Rules, d.rule(fmt.Sprintf("%sr%d", policy.ID, j)))
		}
	}
	return policies
}

func (d *l7Draw) rule(id string) model.L7Rule {
	rule := model.L7Rule{
		ID: id, AdminStateUp: d.IntN(8) > 0, Invert: d.IntN(3) == 0,
		Type:        d.of(model.L7TypeHostName, model.L7TypePath, model.L7TypeFileType, model.L7TypeHeader, model.L7TypeCookie),
		CompareType: d.of(model.L7CompareRegex, model.L7CompareStartsWith, model.L7CompareEndsWith, model.L7CompareContains, model.L7CompareEqualTo),
	}
	expression := rule.CompareType == model.L7CompareRegex
	choose := func(literals, expressions []string) string {
		if expression {
			return d.of(expressions...)
		}
		return d.of(literals...)
	}
	switch rule.Type {
	case model.L7TypeHostName:
		rule.Value = choose([]string{"a.example", "A.EXAMPLE", "a", "example", "b.example:8080", ":8080"},
			[]string{`^a\.`, `example$`, `EXAMPLE`, `^[ab]\.example$`, `:[0-9]+$`, `^(?-i:B)`})
	case model.L7TypePath:
		rule.Value = choose([]string{"/a", "/", "/a/b.jpg", "b", ".jpg", "/A", "/a?x", "a%2fb", "//"},
			[]string{`^/a`, `^/a$`, `\.(jpg|png)$`, `a.b`, `^/[^b]*$`, `(^/x|g)$`, `(?i)^/A`, `^/a.*b$`, `x=`, `//`, `^/(a|b)/`, `\?`, `^/.{0,3}$`, `\Ba`})
	case model.L7TypeFileType:
		if !expression {
			rule.CompareType = model.L7CompareEqualTo
		}
		rule.Value = choose([]string{"jpg", "png", "b.jpg"}, []string{`jpe?g|png`, `^/a`, `\.jpg$`})
	case model.L7TypeHeader:
		rule.Key = d.of("X-Kind", "x-kind", "X-Other", "Host", "User-Agent", "X-Forwarded-Proto", "X-Forwarded-For")
		rule.Value = choose([]string{"a", "b", "ab", "a b", "a,b", "c"}, []string{
			`^a$`, `a`, `^ab?$`, `^$`, `^[a-c]*$`, `b$`, `^b`, `(^|x)a`, `a,`, `.*`, `^a b$`, `^[^c]+$`, `\ba\b`,
		})
	case model.L7TypeCookie:
		rule.Key = d.of("sid", "s.d", "id")
		rule.Value = choose([]string{"a", "ab", "b", "\"a\""}, []string{`^a$`, `a`, `^[a-c]+$`, `b$`, `^ab?$`, `a;`, `=`})
		if !expression && rule.Value == "\"a\"" {
			rule.Value = "a=b"
		}
	}
	return rule
}

func (d *l7Draw) request() string {
	var request strings.Builder
	target := d.of("/", "/a", "/A", "/a/b.jpg", "/b/a.png", "/x", "//a", "/a%2fb", "/a/b.jpeg", "/abb", "/x/jpg", "/a;b") +
		d.of("", "", "?x=1", "?", "?y=/a/b.jpg", "?b?c", "?x=a.jpg#", "")
	target = strings.TrimSuffix(target, "#")
	host := d.of("a.example", "A.Example", "b.example:8080", "www.a.example", "c")
	if d.IntN(8) == 0 {
		target = "http://" + host + target
	}
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\n", d.of("GET", "GET", "GET", "DELETE", "OPTIONS"), target, host)
	for range d.IntN(3) {
		fmt.Fprintf(&request, "%s: %s\r\n", d.of("X-Kind", "X-Kind", "X-Other", "X-Forwarded-For"),
			d.of("", "a", "b", "ab", "a b", "a,b", "c, a", "a , b", "x,,y", "ab,c", "\xff\xfea", "a\tb"))
	}
	if d.IntN(4) == 0 {
		// Once and not empty: all that keepForwardedProto keeps of it is one line with something in it.
		fmt.Fprintf(&request, "X-Forwarded-Proto: %s\r\n", d.of("a", "b", "ab", "c, a"))
	}
	for range d.IntN(3) {
		fmt.Fprintf(&request, "Cookie: %s\r\n",
			d.of("sid=a", "sid=ab; id=b", "id=a;sid=b", "sid = a", "sid=\"a\"", "sidx=a; s.d=a", "SID=a", "sad=a", "id=a, sid=c", "sid=a=b; x", "sid", "sid=c;sid=a"))
	}
	request.WriteString("\r\n")
	return request.String()
}

// l7Lines is what Octavia's macros.j2 (l7policy_macro) makes of the policies of a listener.
func l7Lines(l *model.Listener) string {
	var text strings.Builder
	for _, policy := range l.L7Policies {
		rules := rulesUp(&policy)
		if !policy.AdminStateUp || len(rules) == 0 {
			continue
		}
		condition := " if"
		var conditionSb179 strings.Builder
		for _, rule := range rules {
			escaped := strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(rule.Value)
			if rule.Type == model.L7TypeSSLDNField {
				// What Octavia leaves to its users: without it there would be no configuration at all.
				escaped = strings.NewReplacer(`\`, `\\`, " ", `\ `, `"`, `\"`, "#", `\#`).Replace(rule.Value)
			}
			match := " " + map[string]string{
				model.L7CompareRegex: "-m reg", model.L7CompareStartsWith: "-m beg", model.L7CompareEndsWith: "-m end",
				model.L7CompareContains: "-m sub", model.L7CompareEqualTo: "-m str",
			}[rule.CompareType]
			if rule.Type == model.L7TypeFileType && rule.CompareType == model.L7CompareEqualTo {
				match = ""
			}
			what := map[string]string{
				model.L7TypeHostName: "req.hdr(host) -i", model.L7TypePath: "path", model.L7TypeFileType: "path_end",
				model.L7TypeHeader: "req.hdr(" + rule.Key + ")", model.L7TypeCookie: "req.cook(" + rule.Key + ")",
				model.L7TypeSSLConnHasCert: "ssl_c_used", model.L7TypeSSLVerifyResult: "ssl_c_verify", model.L7TypeSSLDNField: "ssl_c_s_dn(" + rule.Key + ")",
			}[rule.Type]
			switch rule.Type {
			case model.L7TypeSSLConnHasCert:
				match, escaped = "", ""
			case model.L7TypeSSLVerifyResult:
				match = " eq"
			}
			fmt.Fprintf(&text, "    acl %s %s%s %s\n", rule.ID, what, match, escaped)
			conditionSb179.WriteString(" ")
			if rule.Invert {
				conditionSb179.WriteString("!")
			}
			conditionSb179.WriteString(rule.ID)
		}
		condition += conditionSb179.String()
		code := ""
		if policy.RedirectHTTPCode != 0 {
			code = fmt.Sprintf(" code %d", policy.RedirectHTTPCode)
		}
		switch policy.Action {
		case model.L7ActionReject:
			fmt.Fprintf(&text, "    http-request deny%s\n", condition)
		case model.L7ActionRedirectToURL:
			fmt.Fprintf(&text, "    redirect%s location %s%s\n", code, policy.RedirectURL, condition)
		case model.L7ActionRedirectPrefix:
			fmt.Fprintf(&text, "    redirect%s prefix %s%s\n", code, policy.RedirectPrefix, condition)
		case model.L7ActionRedirectToPool:
			if policy.RedirectPoolID != "down" {
				fmt.Fprintf(&text, "    use_backend %s%s\n", policy.RedirectPoolID, condition)
			}
		}
	}
	return text.String()
}

func runHAProxy(t *testing.T, lb *model.LoadBalancer, ports []int) {
	t.Helper()
	var text strings.Builder
	text.WriteString("defaults\n    mode http\n    timeout connect 5s\n    timeout client 50s\n    timeout server 50s\n")
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		fmt.Fprintf(&text, "frontend %s\n    bind %s:%d\n%s    default_backend blue\n", l.ID, vip, ports[i], l7Lines(l))
	}
	for i := range lb.Pools {
		member := lb.Pools[i].Members[0]
		fmt.Fprintf(&text, "backend %s\n    server s %s:%d\n", lb.Pools[i].ID, member.Address, member.ProtocolPort)
	}
	startHAProxy(t, text.String(), ports[len(ports)-1])
}

// startHAProxy runs the real HAProxy until the end of the test, and returns when it accepts on the last of its ports.
func startHAProxy(t *testing.T, text string, port int) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	testkit.Start(t, exec.Command(haproxy.Path(t), "-db", "-f", name))
	testkit.Eventually(t, func() error {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", fmt.Sprintf("%s:%d", vip, port))
		if err != nil {
			return fmt.Errorf("HAProxy does not accept: %w", err)
		}
		return connection.Close()
	})
}
