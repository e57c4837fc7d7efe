package translate

import (
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestHTTPCookie is HAProxy's `cookie SRV insert indirect nocache`.
func TestHTTPCookie(t *testing.T) {
	member := func(name string) string {
		return server(t, func(w http.ResponseWriter, r *http.Request) {
			for _, line := range r.Header["Cookie"] {
				w.Header().Add("Got", line)
			}
			if r.URL.Path == "/sets" {
				w.Header().Add("Set-Cookie", "SRV=mine")
				w.Header().Add("Set-Cookie", "a=b; Path=/")
			}
			if r.URL.Path == "/cacheable" {
				w.Header().Set("ETag", "e")
				w.Header().Set("Cache-Control", "public")
			}
			if r.URL.Path == "/pragma" {
				w.Header().Set("ETag", "e")
				w.Header().Set("Pragma", "no-cache")
			}
			if r.URL.Path == "/500" {
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = io.WriteString(w, name)
		})
	}
	one, two, three := member("one"), member("two"), member("three")
	kept := func(id string, members ...string) model.Pool {
		p := pool(id, "HTTP", members...)
		p.SessionPersistence = &model.SessionPersistence{Type: persistHTTPCookie}
		return p
	}
	drains, disabled, least, hashed := kept("drains", one, two), kept("disabled", one, two), kept("least", one, two), kept("hashed", one, two)
	drains.Members[0].Weight = 0
	disabled.Members[0].AdminStateUp = false
	least.LBAlgorithm, hashed.LBAlgorithm = model.AlgorithmLeastConnections, model.AlgorithmSourceIP
	backed := kept("backed", one, two)
	backed.Members[1].Backup = true
	lb := &model.LoadBalancer{Pools: []model.Pool{
		kept("web", one, two, three), drains, disabled, least, hashed, backed, kept("half", dead(t), two), kept("gone", dead(t)),
		pool("plain", "HTTP", one),
	}}
	for _, p := range lb.Pools {
		lb.Listeners = append(lb.Listeners, listener(t, p.ID, "HTTP", p.ID))
	}
	serve(t, lb)

	request := func(path string, lines ...string) string {
		cookies := ""
		if len(lines) > 0 {
			cookies = "Cookie: " + strings.Join(lines, "\r\nCookie: ") + "\r\n"
		}
		return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + cookies + "\r\n"
	}
	t.Run("a client comes back", func(t *testing.T) {
		for _, id := range []string{"web", "least", "hashed"} {
			for range 5 {
				response, first := ask(t, lb.Listener(id), request("/"))
				cookies := response.Header["Set-Cookie"]
				if len(cookies) != 1 {
					t.Fatalf("%s: got %v", id, response.Header)
				}
				value, _, _ := strings.Cut(cookies[0], ";")
				if cookies[0] != value+"; path=/" || lb.Pool(id).Member(strings.TrimPrefix(value, "SRV=")) == nil {
					t.Errorf("the cookie is %q", cookies[0])
				}
				for range 5 {
					response, again := ask(t, lb.Listener(id), request("/", value))
					if again != first {
						t.Errorf("%s: %s came to %s, not to %s", id, value, again, first)
					}
					for _, name := range []string{"Set-Cookie", "Cache-Control", "Got", "X-Octavia-Member"} {
						if response.Header[name] != nil {
							t.Errorf("the client sees %s: %q", name, response.Header[name])
						}
					}
				}
			}
		}
	})
	t.Run("clients are spread", func(t *testing.T) {
		if diff := cmp.Diff([]string{"one", "three", "two"}, answers(t, lb.Listener("web"), 9, request("/"))); diff != "" {
			t.Error(diff)
		}
	})
	for name, test := range map[string]struct {
		pool, cookie string
		want         string
		set          bool
	}{
		"a draining member keeps its clients":  {"drains", "SRV=drains0", "one", false},
		"a draining member gets no new ones":   {"drains", "a=b", "two", true},
		"a disabled member loses them":         {"disabled", "SRV=disabled0", "two", true},
		"a dead member loses them":             {"half", "SRV=half0", "two", true},
		"a backup keeps its clients":           {"backed", "SRV=backed1", "two", false},
		"a member that is not there":           {"drains", "SRV=nobody", "two", true},
		"one cookie of several that names one": {"backed", "SRV=nobody; SRV=:app; SRV=backed1; SRV=backed0", "two", false},
		"the name of a key of ours":            {"drains", "SRV=:cookie", "two", true},
		"an address":                           {"drains", "SRV=" + one, "two", true},
		"nothing":                              {"drains", "SRV=", "two", true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 4 {
				response, body := ask(t, lb.Listener(test.pool), request("/", test.cookie))
				if set := response.Header["Set-Cookie"] != nil; body != test.want || set != test.set {
					t.Errorf("got %s %q %v", response.Status, body, response.Header)
				}
			}
		})
	}
	t.Run("the member sees the others", func(t *testing.T) {
		for _, test := range []struct{ sent, want []string }{
			{[]string{"a=b; SRV=web0; c=d"}, []string{"a=b; c=d"}},
			{[]string{"SRV=web0; c=d"}, []string{"c=d"}},
			{[]string{"a=b", "SRV=web0", "XSRV=1;SRVX=2"}, []string{"a=b", "XSRV=1;SRVX=2"}},
			{[]string{"SRV=web0"}, nil},
			{[]string{`a="b; c"; SRVs`}, []string{`a="b; c"; SRVs`}},
		} {
			if response, _ := ask(t, lb.Listener("web"), request("/", test.sent...)); !slices.Equal(response.Header["Got"], test.want) {
				t.Errorf("of %q it sees %q, not %q", test.sent, response.Header["Got"], test.want)
			}
		}
	})
	t.Run("a member's own cookie of that name", func(t *testing.T) {
		response, _ := ask(t, lb.Listener("web"), request("/sets", "SRV=web0"))
		if diff := cmp.Diff([]string{"a=b; Path=/"}, response.Header["Set-Cookie"]); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("no cache keeps a cookie", func(t *testing.T) {
		response, _ := ask(t, lb.Listener("web"), request("/cacheable"))
		if diff := cmp.Diff([]string{"public,private"}, response.Header["Cache-Control"]); diff != "" {
			t.Error(diff)
		}
		for _, of := range []string{request("/500"), request("/"), request("/pragma"), request("/cacheable", "SRV=web0")} {
			if response, _ := ask(t, lb.Listener("web"), of); slices.Contains(response.Header["Cache-Control"], "private") {
				t.Errorf("%q: got %v", of, response.Header)
			}
		}
	})
	t.Run("Envoy's own answers set nothing", func(t *testing.T) {
		response, _ := ask(t, lb.Listener("gone"), request("/"))
		if response.StatusCode != 503 || response.Header["Set-Cookie"] != nil || response.Header["X-Octavia-Member"] != nil {
			t.Errorf("got %s %v", response.Status, response.Header)
		}
	})
	t.Run("Envoy's own answers to bad requests", func(t *testing.T) {
		const chunks = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		for _, bad := range []string{"GET /a#b HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: a, b\r\n\r\n", chunks + "xyz\r\n\r\n"} {
			response, _ := ask(t, lb.Listener("web"), bad)
			if response.StatusCode != 400 || response.Header["Set-Cookie"] != nil || response.Header["X-Octavia-Member"] != nil {
				t.Errorf("%q: got %s %v", bad, response.Status, response.Header)
			}
		}
	})
	t.Run("a pool without persistence", func(t *testing.T) {
		response, _ := ask(t, lb.Listener("plain"), request("/", "SRV=plain0"))
		if diff := cmp.Diff([]string{"SRV=plain0"}, response.Header["Got"]); diff != "" || response.Header["Set-Cookie"] != nil {
			t.Errorf("%s %v", diff, response.Header)
		}
	})
}

// TestCookieOfALostMember has a cookie whose member was found dead, and one whose member is gone from the endpoints and not yet
// from the routes: both go on to another one.
func TestCookieOfALostMember(t *testing.T) {
	web := pool("web", "HTTP", named(t, "one"), named(t, "two"), named(t, "three"))
	web.SessionPersistence = &model.SessionPersistence{Type: persistHTTPCookie}
	lb := &model.LoadBalancer{
		ID: "lb", VIPAddress: vip, AdminStateUp: true,
		Listeners: []model.Listener{listener(t, "web", "HTTP", "web")}, Pools: []model.Pool{web},
	}
	res := translated(t, lb)
	for _, assignment := range res.Endpoints {
		group := assignment.GetEndpoints()[0]
		group.LbEndpoints[0].HealthStatus = corev3.HealthStatus_UNHEALTHY
		group.LbEndpoints = group.LbEndpoints[:2]
	}
	serveResources(t, lb, res)
	for _, cookie := range []string{"web0", "web2"} {
		for range 4 {
			response, body := ask(t, lb.Listener("web"), "GET / HTTP/1.1\r\nHost: x\r\nCookie: SRV="+cookie+"\r\n\r\n")
			if body != "two" || response.Header.Get("Set-Cookie") != "SRV=web1; path=/" {
				t.Errorf("%s: got %s %q %v", cookie, response.Status, body, response.Header)
			}
		}
	}
}

// TestAppCookie keeps clients by a cookie of the application's, which the application itself sees as it set it.
func TestAppCookie(t *testing.T) {
	member := func(name string) string {
		return server(t, func(w http.ResponseWriter, r *http.Request) {
			for _, line := range r.Header["Cookie"] {
				w.Header().Add("Got", line)
			}
			switch r.URL.Path {
			case "/login":
				w.Header().Add("Set-Cookie", "a=b")
				w.Header().Add("Set-Cookie", "SESSION.id=abc~1; Path=/; HttpOnly")
			case "/logout":
				w.Header().Add("Set-Cookie", "SESSION.id=; Max-Age=0")
			}
			_, _ = io.WriteString(w, name)
		})
	}
	one, two := member("one"), member("two")
	kept := func(id string, members ...string) model.Pool {
		p := pool(id, "HTTP", members...)
		p.SessionPersistence = &model.SessionPersistence{Type: persistAppCookie, CookieName: "SESSION.id"}
		return p
	}
	half := kept("half", dead(t), two)
	lb := &model.LoadBalancer{
		Listeners: []model.Listener{listener(t, "web", "HTTP", "web"), listener(t, "half", "HTTP", "half")},
		Pools:     []model.Pool{kept("web", one, two), half},
	}
	serve(t, lb)
	web := lb.Listener("web")
	request := func(path, cookies string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: x\r\nCookie: " + cookies + "\r\n\r\n"
	}
	for range 4 {
		response, first := ask(t, web, request("/login", "x=y"))
		got := response.Header["Set-Cookie"]
		id := map[string]string{"one": "web0", "two": "web1"}[first]
		if diff := cmp.Diff([]string{"a=b", "SESSION.id=abc~1~~" + id + "; Path=/; HttpOnly"}, got); diff != "" {
			t.Fatal(diff)
		}
		for range 4 {
			response, again := ask(t, web, request("/", "a=b; SESSION.id=abc~1~~"+id+"; c=d"))
			if again != first || response.Header["Set-Cookie"] != nil {
				t.Errorf("came to %s, not to %s: %v", again, first, response.Header)
			}
			if diff := cmp.Diff([]string{"a=b; SESSION.id=abc~1; c=d"}, response.Header["Got"]); diff != "" {
				t.Errorf("the member sees another cookie: %s", diff)
			}
		}
	}
	if diff := cmp.Diff([]string{"one", "two"}, answers(t, web, 6, request("/", "SESSION.id=abc~1"))); diff != "" {
		t.Errorf("a session from before (-want +got):\n%s", diff)
	}
	response, _ := ask(t, web, request("/", "SESSION.id=abc~1~~gone"))
	if diff := cmp.Diff([]string{"SESSION.id=abc~1"}, response.Header["Got"]); diff != "" {
		t.Error(diff)
	}
	response, _ = ask(t, web, request("/logout", "SESSION.id=abc~1~~web0"))
	if diff := cmp.Diff([]string{"SESSION.id=; Max-Age=0"}, response.Header["Set-Cookie"]); diff != "" {
		t.Error(diff)
	}
	for range 4 {
		if response, body := ask(t, lb.Listener("half"), request("/login", "SESSION.id=abc~~half0")); body != "two" ||
			!strings.Contains(response.Header["Set-Cookie"][1], "~~half1;") {
			t.Errorf("a dead member: got %s %q %v", response.Status, body, response.Header)
		}
	}
}

// TestCookiesTellNoAddress looks at everything that a client of a pool with cookies can see.
func TestCookiesTellNoAddress(t *testing.T) {
	lb := &model.LoadBalancer{Listeners: []model.Listener{listener(t, "web", "HTTP", "web")}, Pools: []model.Pool{pool("web", "HTTP", named(t, "one"))}}
	lb.Pools[0].SessionPersistence = &model.SessionPersistence{Type: persistHTTPCookie}
	serve(t, lb)
	response, _ := ask(t, lb.Listener("web"), get)
	for name, values := range response.Header {
		for _, value := range values {
			if strings.Contains(value, netip.MustParseAddr(vip).String()) || strings.Contains(value, "MTI3") {
				t.Errorf("%s: %s", name, value)
			}
		}
	}
}
