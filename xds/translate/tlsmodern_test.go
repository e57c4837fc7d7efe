package translate

import (
	"crypto/tls"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// TestModernTLS is what clients get without anyone's asking for it: keys that computers to come cannot break, and sessions that
// are resumed.
func TestModernTLS(t *testing.T) {
	authority := pki.New(t, "root")
	l := secure(t, "l", "", authority.Issue(pki.Options{Names: []string{"x.example"}}))
	serve(t, &model.LoadBalancer{Listeners: []model.Listener{l}})
	for _, curve := range []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256} {
		config := &tls.Config{ServerName: "x.example", RootCAs: authority.Pool(), CurvePreferences: []tls.CurveID{curve}}
		state, err := shake(t, &l, config)
		if err != nil {
			t.Errorf("a client that knows %s alone: %v", curve, err)
		} else if state.CurveID != curve {
			t.Errorf("a client that knows %s alone gets %s", curve, state.CurveID)
		}
	}
	state, err := shake(t, &l, &tls.Config{ServerName: "x.example", RootCAs: authority.Pool()})
	if err != nil || state.CurveID != tls.X25519MLKEM768 {
		t.Errorf("a client that knows all gets %+v, error %v", state, err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := &tls.Config{
			ServerName: "x.example", RootCAs: authority.Pool(), MinVersion: version, MaxVersion: version,
			ClientSessionCache: tls.NewLRUClientSessionCache(1),
		}
		for visit := range 2 {
			state, err := shake(t, &l, config)
			if err != nil {
				t.Fatal(err)
			}
			if state.DidResume != (visit == 1) {
				t.Errorf("%s, visit %d: resumed is %t", tls.VersionName(version), visit, state.DidResume)
			}
		}
	}
}
