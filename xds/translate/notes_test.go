package translate

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestNotes holds that ciphers which fall away are told of, of what is served and of nothing else.
func TestNotes(t *testing.T) {
	const lost = "ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256:CAMELLIA:DHE-RSA-AES128-GCM-SHA256"
	const text = "tls_ciphers: Envoy has no DHE-RSA-AES128-GCM-SHA256, CAMELLIA; the others are in use"
	listener := func(id string, port int, change func(*model.Listener)) model.Listener {
		l := model.Listener{
			ID: id, AdminStateUp: true, Protocol: model.ProtocolTerminatedHTTPS, ProtocolPort: port, DefaultTLSContainerRef: "test:ecdsa",
			TLSVersions: []string{"TLSv1.2", "TLSv1.3"}, TLSCiphers: lost, DefaultPoolID: "secure", ConnectionLimit: model.UnlimitedConnections,
		}
		change(&l)
		return l
	}
	pool := func(id string, change func(*model.Pool)) model.Pool {
		p := model.Pool{
			ID: id, AdminStateUp: true, Protocol: model.ProtocolHTTP, LBAlgorithm: model.AlgorithmRoundRobin, TLSEnabled: true, TLSCiphers: lost,
		}
		change(&p)
		return p
	}
	lb := &model.LoadBalancer{
		ID: "lb", AdminStateUp: true, VIPAddress: "192.0.2.1",
		Listeners: []model.Listener{
			listener("lost", 1, func(*model.Listener) {}),
			listener("again", 8, func(l *model.Listener) { l.TLSVersions = nil }),
			listener("kept", 2, func(l *model.Listener) { l.TLSCiphers = "HIGH:!aNULL" }),
			listener("all", 3, func(l *model.Listener) { l.TLSCiphers = "" }),
			listener("13", 4, func(l *model.Listener) { l.TLSVersions = []string{"TLSv1.3"} }),
			listener("plain", 5, func(l *model.Listener) { l.Protocol, l.DefaultTLSContainerRef = model.ProtocolHTTP, "" }),
			listener("off", 6, func(l *model.Listener) { l.AdminStateUp = false }),
			listener("unread", 7, func(l *model.Listener) { l.DefaultTLSContainerRef = "test:missing" }),
		},
		Pools: []model.Pool{
			pool("secure", func(*model.Pool) {}),
			pool("clear", func(p *model.Pool) { p.TLSEnabled = false }),
			pool("bad", func(p *model.Pool) { p.ALPNProtocols = []string{"spdy"} }),
		},
	}
	fillSecrets(t, lb)
	res, err := LoadBalancer(lb)
	if problems := Problems(err); len(problems) != 2 { // unread and bad
		t.Fatal(err)
	}
	want := []Note{
		{model.Ref{Kind: model.KindPool, ID: "secure"}, text},
		{model.Ref{Kind: model.KindListener, ID: "again"}, text},
		{model.Ref{Kind: model.KindListener, ID: "lost"}, text},
	}
	if diff := cmp.Diff(want, res.Notes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
