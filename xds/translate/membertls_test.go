package translate

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// tlsMember is a member that says what it saw of Envoy's handshake.
func tlsMember(t *testing.T, config *tls.Config, http2 bool) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			client = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = fmt.Fprintf(w, "%s %q from %s by %s", r.Proto, r.TLS.ServerName, client, tls.VersionName(r.TLS.Version))
	}))
	s.TLS, s.EnableHTTP2 = config, http2
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return strings.TrimPrefix(s.URL, "https://")
}

// TestMemberTLS is what members see of pools with tls_enabled, and which members are refused.
func TestMemberTLS(t *testing.T) {
	ours, theirs, clients := pki.New(t, "members"), pki.New(t, "others"), pki.New(t, "clients")
	named := func(authority *pki.Authority) []tls.Certificate {
		return []tls.Certificate{authority.Issue(pki.Options{Names: []string{"member.example"}}).TLS()}
	}
	good := tlsMember(t, &tls.Config{Certificates: named(ours)}, false)
	foreign := tlsMember(t, &tls.Config{Certificates: named(theirs)}, false)
	both := tlsMember(t, &tls.Config{Certificates: named(ours)}, true)
	revoked := ours.Issue(pki.Options{Names: []string{"member.example"}})
	gone := tlsMember(t, &tls.Config{Certificates: []tls.Certificate{revoked.TLS()}}, false)
	asks := tlsMember(t, &tls.Config{Certificates: named(ours), ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool()}, false)
	old := tlsMember(t, &tls.Config{Certificates: named(ours), MaxVersion: tls.VersionTLS12}, false)

	proxied := raw(t, proxiedTLS(named(ours)))

	encrypted := func(id, protocol, member string, change func(*model.Pool)) model.Pool {
		p := pool(id, protocol, member)
		p.TLSEnabled = true
		if change != nil {
			change(&p)
		}
		return p
	}
	trusting := func(p *model.Pool) { p.CATLSContainerRef, p.CATLSContainer = "https://b/ca", model.PEM(ours.PEM()) }
	lb := &model.LoadBalancer{Pools: []model.Pool{
		encrypted("any", model.ProtocolHTTP, foreign, nil),
		encrypted("good", model.ProtocolHTTP, good, trusting),
		encrypted("foreign", model.ProtocolHTTP, foreign, trusting),
		encrypted("revoked", model.ProtocolHTTP, gone, func(p *model.Pool) {
			trusting(p)
			p.CRLContainerRef, p.CRLContainer = "https://b/crl", model.PEM(ours.CRL(revoked))
		}),
		encrypted("listed", model.ProtocolHTTP, good, func(p *model.Pool) {
			trusting(p)
			p.CRLContainerRef, p.CRLContainer = "https://b/crl", model.PEM(ours.CRL(revoked))
		}),
		encrypted("asks", model.ProtocolHTTP, asks, func(p *model.Pool) {
			p.TLSContainerRef, p.TLSContainer = "https://b/client", clients.Issue(pki.Options{Names: []string{"envoy"}, Client: true}).Container()
		}),
		encrypted("asks-in-vain", model.ProtocolHTTP, asks, nil),
		encrypted("agreed", model.ProtocolHTTP, both, func(p *model.Pool) { p.ALPNProtocols = []string{"h2", "http/1.1", "http/1.0"} }),
		encrypted("agreed-on-1", model.ProtocolHTTP, good, func(p *model.Pool) { p.ALPNProtocols = []string{"h2", "http/1.1"} }),
		encrypted("only-1", model.ProtocolHTTP, both, func(p *model.Pool) { p.ALPNProtocols = []string{"http/1.1"} }),
		encrypted("old", model.ProtocolHTTP, old, nil),
		encrypted("too-old", model.ProtocolHTTP, old, func(p *model.Pool) { p.TLSVersions = []string{"TLSv1.3"} }),
		encrypted("proxied", model.ProtocolProxy, proxied, nil),
	}}
	for _, p := range lb.Pools {
		lb.Listeners = append(lb.Listeners, secure(t, "l-"+p.ID, p.ID, ours.Issue(pki.Options{Names: []string{"x"}})))
	}
	clear := listener(t, "clear", model.ProtocolHTTP, "good")
	lb.Listeners = append(lb.Listeners, clear)
	serve(t, lb)

	ask := func(l *model.Listener, name string) string {
		t.Helper()
		transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
		scheme := "https"
		if !terminates(l) {
			scheme = "http"
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+place(l), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != http.StatusOK {
			return response.Status
		}
		return string(body)
	}
	for _, test := range []struct{ pool, name, want string }{
		{"any", "member.example", `HTTP/1.1 "member.example" from nobody by TLS 1.3`},
		{"any", "other.example", `HTTP/1.1 "other.example" from nobody by TLS 1.3`},
		{"good", "member.example", `HTTP/1.1 "member.example" from nobody by TLS 1.3`},
		{"good", "other.example", "503 Service Unavailable"}, // the member's certificate is for another name
		{"foreign", "member.example", "503 Service Unavailable"},
		{"revoked", "member.example", "503 Service Unavailable"},
		{"listed", "member.example", `HTTP/1.1 "member.example" from nobody by TLS 1.3`},
		{"asks", "member.example", `HTTP/1.1 "member.example" from envoy by TLS 1.3`},
		{"asks-in-vain", "member.example", "502 Bad Gateway"}, // it says so after the handshake
		{"agreed", "member.example", `HTTP/2.0 "member.example" from nobody by TLS 1.3`},
		{"agreed-on-1", "member.example", `HTTP/1.1 "member.example" from nobody by TLS 1.3`},
		{"only-1", "member.example", `HTTP/1.1 "member.example" from nobody by TLS 1.3`},
		{"old", "member.example", `HTTP/1.1 "member.example" from nobody by TLS 1.2`},
		{"too-old", "member.example", "503 Service Unavailable"},
		{"proxied", "member.example", "PROXY TCP4 127.0.0.1 127.0.0.1 then \"member.example\""},
		{"good", "", `HTTP/1.1 "" from nobody by TLS 1.3`},
	} {
		for i := range lb.Listeners {
			if lb.Listeners[i].ID == "l-"+test.pool {
				if got := ask(&lb.Listeners[i], test.name); got != test.want {
					t.Errorf("%s asked for %q: %s; want %s", test.pool, test.name, got, test.want)
				}
			}
		}
	}
	if got, want := ask(&clear, ""), `HTTP/1.1 "" from nobody by TLS 1.3`; got != want {
		t.Errorf("through a listener in clear: %s; want %s", got, want)
	}
}

// proxiedTLS is a member that expects the PROXY protocol before its TLS handshake.
func proxiedTLS(certificates []tls.Certificate) func(net.Conn) {
	return func(connection net.Conn) {
		var header []byte
		for one := make([]byte, 1); !bytes.HasSuffix(header, []byte("\r\n")); {
			if _, err := connection.Read(one); err != nil {
				return
			}
			header = append(header, one[0])
		}
		secured := tls.Server(connection, &tls.Config{Certificates: certificates})
		if _, err := http.ReadRequest(bufio.NewReader(secured)); err != nil {
			return
		}
		body := fmt.Sprintf("%s then %q", strings.Join(strings.Fields(string(header))[:4], " "), secured.ConnectionState().ServerName)
		_, _ = fmt.Fprintf(secured, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}
