package translate

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestL7 is what clients see of L7 policies through the real Envoy. TestL7AsHAProxy compares many more, where there is one.
func TestL7(t *testing.T) {
	member := func(name string) string {
		return server(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, name)
		})
	}
	path := func(value string) model.L7Rule {
		return model.L7Rule{ID: "path", AdminStateUp: true, Type: model.L7TypePath, CompareType: model.L7CompareEqualTo, Value: value}
	}
	kind := model.L7Rule{
		ID: "kind", AdminStateUp: true, Type: model.L7TypeHeader, CompareType: model.L7CompareRegex, Key: "X-Kind", Value: "^[a-z]*$", Invert: true,
	}
	long := "/" + strings.Repeat("x", 254)
	web := listener(t, "web", "HTTP", "blue")
	policy := func(id, action, target string, code int, rules ...model.L7Rule) {
		web.L7Policies = append(web.L7Policies, model.L7Policy{
			ID: id, AdminStateUp: true, Action: action, Position: len(web.L7Policies) + 1, Rules: rules,
			RedirectURL: target, RedirectPrefix: target, RedirectPoolID: target, RedirectHTTPCode: code,
		})
	}
	policy("green", model.L7ActionRedirectToPool, "green", 0, path("/green"))
	policy("late", model.L7ActionRedirectToPool, "green", 0, path("/both"))
	policy("down", model.L7ActionRedirectToPool, "down", 0, path("/down"))
	policy("url", model.L7ActionRedirectToURL, "https://u.example/%41%REQ(host)%?a=%20", 308, path("/url"))
	policy("early", model.L7ActionRedirectToURL, "https://u.example", 0, path("/both"))
	policy("prefix", model.L7ActionRedirectPrefix, "https://p.example/base", 303, path("/prefix"))
	policy("deny", model.L7ActionReject, "", 0, path("/deny"))
	policy("long", model.L7ActionReject, "", 0, path(long))
	policy("kind", model.L7ActionReject, "", 0, path("/kind"), kind)
	down := pool("down", "HTTP", member("down"))
	down.AdminStateUp = false
	serve(t, &model.LoadBalancer{
		Listeners: []model.Listener{web},
		Pools:     []model.Pool{pool("blue", "HTTP", member("blue")), pool("green", "HTTP", member("green")), down},
	})
	forbidden := page("403 Forbidden", "Request forbidden by administrative rules.")
	for _, test := range []struct {
		target, headers       string
		status                int
		location, cache, body string
	}{
		{"/", "", 200, "", "", "blue"},
		{"/green?x=1", "", 200, "", "", "green"},
		{"/green/", "", 200, "", "", "blue"},
		{"/GREEN", "", 200, "", "", "blue"},
		{"http://other.example/green?", "", 200, "", "", "green"},
		{"/x?/green", "", 200, "", "", "blue"},
		{"/down", "", 200, "", "", "blue"},
		{"/url", "", 308, "https://u.example/%41%REQ(host)%?a=%20", "", ""},
		{"/both", "", 302, "https://u.example", "no-cache", ""},
		{"/prefix?a=%20&b", "", 303, "https://p.example/base/prefix?a=%20&b", "no-cache", ""},
		{"/deny?x", "", 403, "", "no-cache", forbidden},
		{long, "", 403, "", "no-cache", forbidden},
		{"/kind", "", 403, "", "no-cache", forbidden},
		{"/kind", "X-Kind:\r\n", 200, "", "", "blue"},
		{"/kind", "X-Kind: A\r\n", 403, "", "no-cache", forbidden},
		{"/kind", "X-Kind: A, B\r\nx-kind: b , C\r\n", 200, "", "", "blue"},
		{"/kind", "X-Octavia-Path: /deny\r\nX-Kind: a\r\n", 200, "", "", "blue"},
	} {
		response, body := ask(t, &web, "GET "+test.target+" HTTP/1.1\r\nHost: www.example\r\n"+test.headers+"\r\n")
		location, cache := response.Header.Get("Location"), response.Header.Get("Cache-Control")
		if response.StatusCode != test.status || location != test.location || cache != test.cache || body != test.body {
			t.Errorf("%s %q: %s, location %q, cache-control %q, body %q", test.target, test.headers, response.Status, location, cache, body)
		}
	}
}
