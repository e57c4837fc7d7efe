package translate

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/crypto/ocsp"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// overHTTP3 asks a listener for a page by HTTP/3, on a connection of its own.
func overHTTP3(t *testing.T, l *model.Listener, config *tls.Config) (*http.Response, string, error) {
	t.Helper()
	if config.RootCAs == nil {
		config.InsecureSkipVerify = true
	}
	transport := &http3.Transport{TLSClientConfig: config, QUICConfig: &quic.Config{HandshakeIdleTimeout: testkit.Patience}}
	defer transport.Close()
	return askBy(t, transport, l)
}

func askBy(t *testing.T, transport http.RoundTripper, l *model.Listener) (*http.Response, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+place(l)+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// TestHTTP3 is what a real client of HTTP/3 sees.
func TestHTTP3(t *testing.T) {
	root := pki.New(t, "root")
	rsa := root.Issue(pki.Options{Names: []string{"default.example"}, RSA: 2048})
	ecdsa := root.Issue(pki.Options{Names: []string{"ecdsa.example"}})
	member := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", `h3=":8443"`)
		for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "Early-Data"} {
			_, _ = io.WriteString(w, r.Header.Get(name)+" ")
		}
	})
	web := secure(t, "web", "p", rsa)
	web.InsertHeaders = map[string]string{"X-Forwarded-For": "true", "X-Forwarded-Port": "true", "X-Forwarded-Proto": "true"}
	web.L7Policies = []model.L7Policy{rejects("a")}
	web.L7Policies[0].Rules[0].Value = "^/rejected"
	names := secure(t, "names", "p", rsa, ecdsa)
	allowed, others := secure(t, "allowed", "p", rsa), secure(t, "others", "p", rsa)
	allowed.AllowedCIDRs, others.AllowedCIDRs = []string{"127.0.0.0/8"}, []string{"192.0.2.0/24"}
	namedOthers := secure(t, "named-others", "p", rsa, ecdsa)
	namedOthers.AllowedCIDRs = others.AllowedCIDRs
	stapled := secure(t, "stapled", "p", rsa)
	stapled.DefaultTLSContainer.OCSPResponse = root.OCSP(rsa, ocsp.Good, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	limited := secure(t, "limited", "p", rsa)
	limited.ConnectionLimit = 1
	serve(t, &model.LoadBalancer{
		Flavor: map[string]any{"http3": true},
		// An additional VIP, of which each has its own sockets.
		AdditionalVIPs: []model.AdditionalVIP{{IPAddress: "::1"}},
		Listeners:      []model.Listener{web, names, allowed, others, namedOthers, limited, stapled},
		Pools:          []model.Pool{pool("p", model.ProtocolHTTP, member)},
	})

	offer := fmt.Sprintf(`h3=":%d"; ma=86400`, web.ProtocolPort)
	response, _, err := askBy(t, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, &web)
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Values("Alt-Svc"); !slices.Equal(got, []string{offer}) || response.ProtoMajor != 1 {
		t.Errorf("over TCP, %s tells %q; want %q", response.Proto, got, offer)
	}
	response, body, err := overHTTP3(t, &web, &tls.Config{ServerName: "default.example", RootCAs: root.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("127.0.0.1 %d https  ", web.ProtocolPort); body != want || response.Proto != "HTTP/3.0" {
		t.Errorf("by %s the member sees %q; want %q", response.Proto, body, want)
	}

	additional := &http3.Transport{TLSClientConfig: &tls.Config{ServerName: "default.example", RootCAs: root.Pool()}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("https://[::1]:%d/", web.ProtocolPort), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := additional.RoundTrip(request); err != nil {
		t.Errorf("at the additional VIP: %v", err)
	} else {
		_ = response.Body.Close()
	}
	_ = additional.Close()

	for _, test := range []struct {
		on   *model.Listener
		name string
		want pki.Certificate
	}{
		{&web, "unknown.example", rsa},
		{&names, "ecdsa.example", ecdsa},
		{&names, "default.example", rsa},
		{&names, "unknown.example", rsa},
		{&allowed, "default.example", rsa},
	} {
		response, _, err := overHTTP3(t, test.on, &tls.Config{ServerName: test.name})
		if err != nil {
			t.Errorf("%s asked for %s: %v", test.on.ID, test.name, err)
		} else if got := response.TLS.PeerCertificates[0]; !got.Equal(test.want.Leaf) {
			t.Errorf("%s asked for %s: it has the certificate of %v", test.on.ID, test.name, got.DNSNames)
		}
	}
	// Clients have to know that nothing is stapled: a listener whose certificate demands it has no HTTP/3.
	if response, _, err := overHTTP3(t, &stapled, &tls.Config{}); err != nil || len(response.TLS.OCSPResponse) > 0 {
		t.Errorf("%v; if Envoy staples over QUIC now, there is no need to leave out must-staple certificates", err)
	}
	for _, closed := range []*model.Listener{&others, &namedOthers} {
		if response, err := refusedHTTP3(t, closed); err == nil {
			t.Errorf("%s lets in who is not allowed: %s", closed.ID, response.Status)
		}
	}

	t.Run("connection limit", func(t *testing.T) {
		first := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
		if _, _, err := askBy(t, first, &limited); err != nil {
			t.Fatal(err)
		}
		if response, err := refusedHTTP3(t, &limited); err == nil {
			t.Errorf("a second connection is not above the limit: %s", response.Status)
		}
		if _, _, err := askBy(t, first, &limited); err != nil {
			t.Errorf("the first connection is gone: %v", err)
		}
		_ = first.Close()
		testkit.Eventually(t, func() error {
			_, err := refusedHTTP3(t, &limited)
			return err
		})
	})
}

// refusedHTTP3 is overHTTP3 without patience: Envoy says nothing to whom it does not take.
func refusedHTTP3(t *testing.T, l *model.Listener) (*http.Response, error) {
	t.Helper()
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, QUICConfig: &quic.Config{HandshakeIdleTimeout: time.Second},
	}
	defer transport.Close()
	response, _, err := askBy(t, transport, l)
	return response, err
}

// TestWhoSpeaksHTTP3 has every reason to leave it out; then clients are not told of it either.
func TestWhoSpeaksHTTP3(t *testing.T) {
	authority := pki.New(t, "root")
	plain := authority.Issue(pki.Options{Names: []string{"x"}})
	now := time.Now()
	demanding := authority.Issue(pki.Options{Names: []string{"x"}, MustStaple: true})
	must := demanding.Container()
	must.OCSPResponse = authority.OCSP(demanding, ocsp.Good, now.Add(-time.Hour), now.Add(time.Hour))
	for name, test := range map[string]struct {
		change func(l *model.Listener, lb *model.LoadBalancer)
		want   bool
	}{
		"asked for":      {func(*model.Listener, *model.LoadBalancer) {}, true},
		"TLS 1.3 alone":  {func(l *model.Listener, _ *model.LoadBalancer) { l.TLSVersions = []string{"TLSv1.3"} }, true},
		"no flavor":      {func(_ *model.Listener, lb *model.LoadBalancer) { lb.Flavor = nil }, false},
		"another flavor": {func(_ *model.Listener, lb *model.LoadBalancer) { lb.Flavor = map[string]any{"http3": false} }, false},
		"no TLS 1.3":     {func(l *model.Listener, _ *model.LoadBalancer) { l.TLSVersions = []string{"TLSv1.2"} }, false},
		"a must-staple":  {func(l *model.Listener, _ *model.LoadBalancer) { l.DefaultTLSContainer = must }, false},
		"another of them": {func(l *model.Listener, _ *model.LoadBalancer) {
			l.SNIContainerRefs, l.SNIContainers = []string{"https://b/2"}, []*model.TLSContainer{must}
		}, false},
		"OPTIONAL": {func(l *model.Listener, _ *model.LoadBalancer) {
			l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCATLSContainer = "OPTIONAL", "https://b/ca", model.PEM(authority.PEM())
		}, false},
		"MANDATORY": {func(l *model.Listener, _ *model.LoadBalancer) {
			l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCATLSContainer = "MANDATORY", "https://b/ca", model.PEM(authority.PEM())
		}, false},
		"NONE": {func(l *model.Listener, _ *model.LoadBalancer) {
			l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCATLSContainer = "NONE", "https://b/ca", model.PEM(authority.PEM())
		}, true},
		"UDP at the port": {func(_ *model.Listener, lb *model.LoadBalancer) {
			lb.Listeners = append(lb.Listeners, model.Listener{ID: "u", Protocol: model.ProtocolUDP, ProtocolPort: 443, AdminStateUp: true})
		}, false},
		"UDP that is down": {func(_ *model.Listener, lb *model.LoadBalancer) {
			lb.Listeners = append(lb.Listeners, model.Listener{ID: "u", Protocol: model.ProtocolUDP, ProtocolPort: 443})
		}, false},
		"UDP elsewhere": {func(_ *model.Listener, lb *model.LoadBalancer) {
			lb.Listeners = append(lb.Listeners, model.Listener{ID: "u", Protocol: model.ProtocolUDP, ProtocolPort: 53, AdminStateUp: true})
		}, true},
	} {
		l := model.Listener{
			ID: "l", Protocol: model.ProtocolTerminatedHTTPS, ProtocolPort: 443, AdminStateUp: true, ConnectionLimit: -1,
			DefaultTLSContainerRef: "https://b/1", DefaultTLSContainer: plain.Container(),
		}
		lb := &model.LoadBalancer{ID: "lb", VIPAddress: vip, AdminStateUp: true, Flavor: map[string]any{"http3": true}}
		test.change(&l, lb)
		lb.Listeners = append(lb.Listeners, l)
		res := translated(t, lb)
		told := slices.ContainsFunc(res.Routes["l"].GetResponseHeadersToAdd(), func(option *corev3.HeaderValueOption) bool {
			return option.GetHeader().GetKey() == "alt-svc" && option.GetHeader().GetValue() == `h3=":443"; ma=86400`
		})
		if second := res.Listeners["l:h3"] != nil; second != test.want || told != test.want || res.Listeners["l"] == nil {
			t.Errorf("%s: it listens: %t, clients are told: %t, and there are %d listeners", name, second, told, len(res.Listeners))
		}
		owner := res.Owners[Key{resourcev3.ListenerType, "l:h3"}]
		if test.want && owner != (model.Ref{Kind: model.KindListener, ID: "l"}) {
			t.Errorf("%s: it is owned by %v", name, owner)
		}
	}
	for name, want := range map[string]ListenerUse{"l": {Listener: "l"}, "l:h3": {Listener: "l", HTTP3: true}} {
		if got := UseOfListener(name); got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
}

// TestWhatAChangeOfHTTP3Touches: a rotation is of the Secret alone here, too.
func TestWhatAChangeOfHTTP3Touches(t *testing.T) {
	authority := pki.New(t, "root")
	issue := func() *model.TLSContainer { return authority.Issue(pki.Options{Names: []string{"x"}}).Container() }
	first := issue()
	base := func() *model.LoadBalancer {
		return &model.LoadBalancer{
			ID: "lb", VIPAddress: vip, AdminStateUp: true, Flavor: map[string]any{"http3": true},
			Pools: []model.Pool{pool("p", model.ProtocolHTTP, "192.0.2.1:80")},
			Listeners: []model.Listener{{
				ID: "l", Protocol: model.ProtocolTerminatedHTTPS, ProtocolPort: 443, AdminStateUp: true, ConnectionLimit: -1,
				DefaultTLSContainerRef: "https://b/1", DefaultTLSContainer: first,
			}},
		}
	}
	for name, test := range map[string]struct {
		change func(lb *model.LoadBalancer)
		want   []string
	}{
		"nothing":             {func(*model.LoadBalancer) {}, nil},
		"another certificate": {func(lb *model.LoadBalancer) { lb.Listeners[0].DefaultTLSContainer = issue() }, []string{"changed l/default"}},
		"a pool":              {func(lb *model.LoadBalancer) { lb.Listeners[0].DefaultPoolID = "p" }, []string{"changed l"}},
		"allowed CIDRs": {
			func(lb *model.LoadBalancer) { lb.Listeners[0].AllowedCIDRs = []string{"192.0.2.0/24"} }, []string{"changed l", "changed l:h3"},
		},
		"a listener down": {
			func(lb *model.LoadBalancer) { lb.Listeners[0].AdminStateUp = false },
			[]string{"gone l", "gone l:h3", "gone l/default"},
		},
		// The RouteConfiguration, see below: a Listener has the same name.
		"UDP at the port": {func(lb *model.LoadBalancer) {
			lb.Listeners = append(lb.Listeners, model.Listener{ID: "u", Protocol: model.ProtocolUDP, ProtocolPort: 443, AdminStateUp: true})
		}, []string{"changed l", "gone l:h3", "new u", "new udp:u", "new udp:u@"}},
		"no TLS 1.3": {
			func(lb *model.LoadBalancer) { lb.Listeners[0].TLSVersions = []string{"TLSv1.2"} }, []string{"changed l", "gone l:h3"},
		},
	} {
		tree := base()
		test.change(tree)
		before, after := translated(t, base()), translated(t, tree)
		want := map[string]bool{}
		for _, change := range test.want {
			want[change] = true
		}
		if diff := cmp.Diff(want, changes(before, after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if name == "a pool" || name == "UDP at the port" {
			if !proto.Equal(before.Listeners["l"], after.Listeners["l"]) {
				t.Errorf("%s drains the listener over TCP", name)
			}
		}
	}
}

// TestSecretsOfHTTP3 are looked for: Envoy would wait for one that is not there.
func TestSecretsOfHTTP3(t *testing.T) {
	res := translated(t, readTree(t, "testdata/flavor-http3"))
	delete(res.Listeners, "secure")
	delete(res.Routes, "secure")
	clear(res.Secrets)
	res.Listeners["secure:h3"].FilterChains[0].Filters = nil
	if problems := check(res); len(problems) == 0 || !strings.Contains(problems[0].Reason, `it uses the secret "secure/default", which is not there`) {
		t.Errorf("got %v", problems)
	}
}
