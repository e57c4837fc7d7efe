package ocsp

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestGuardAddresses(t *testing.T) {
	company := Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1": true, "10.1.2.3": true, "::ffff:10.1.2.3": true,
		"10.2.0.1": false, "127.0.0.1": false, "::1": false, "169.254.169.254": false, "fe80::1": false, "fd00::1": false, "192.168.1.1": false,
		"172.16.0.1": false, "0.0.0.0": false, "::": false, "100.64.0.1": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "203.0.113.1": false,
		"2001:db8::1": false, "0.1.2.3": false, "fec0::1": false, "240.0.0.1": false, "198.18.0.1": false, "2001::1": false,
	} {
		if err := company.check(netip.MustParseAddr(text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestGuardConnections tries to reach a server on loopback in the ways that a tenant has.
func TestGuardConnections(t *testing.T) {
	reached := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer inside.Close()
	port := inside.URL[strings.LastIndex(inside.URL, ":"):]
	for _, target := range []string{inside.URL, "http://localhost" + port, "http://[::ffff:127.0.0.1]" + port, "http://127.1" + port, "http://0" + port} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := Guard{}.Client().Do(request)
		if err == nil {
			_ = response.Body.Close()
			t.Errorf("%s is reached", target)
		}
	}
	// A redirect, from a responder that may be reached.
	outside := httptest.NewServer(http.RedirectHandler("http://[::1]"+port, http.StatusTemporaryRedirect))
	defer outside.Close()
	guard := Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, outside.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := guard.Client().Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	if !errors.Is(err, errNotAllowed) {
		t.Errorf("after a redirect: %v", err)
	}
	if reached > 0 {
		t.Errorf("the server was reached %d times", reached)
	}
}

// TestProxy sends everything through it, and asks it for no address that is not public.
func TestProxy(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		asked = append(asked, request.RequestURI)
	}))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	guard := Guard{Proxy: address}
	s := New(Options{Guard: guard})
	for _, responder := range []string{"http://ocsp.example/a", "http://127.0.0.1/b", "http://[fe80::1]/c"} {
		_, err := s.post(t.Context(), responder, nil)
		if refused := errors.Is(err, errNotAllowed); refused == strings.Contains(responder, "example") {
			t.Errorf("%s: %v", responder, err)
		}
	}
	if strings.Join(asked, " ") != "http://ocsp.example/a" {
		t.Errorf("the proxy is asked for %v", asked)
	}
}
