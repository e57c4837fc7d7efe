package translate

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// TestLockedKeys has the real Envoy serve certificates whose keys openssl has encrypted, some as BoringSSL cannot open.
func TestLockedKeys(t *testing.T) {
	const passphrase = "a passphrase"
	root := pki.New(t, "root")
	certificates := map[string]pki.Certificate{}
	lb := &model.LoadBalancer{Pools: []model.Pool{pool("p", model.ProtocolHTTP, server(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
	}))}}
	for id, lock := range map[string]func(pki.Certificate) string{
		"pkcs8":       func(c pki.Certificate) string { return c.Locked(t, passphrase) },
		"scrypt":      func(c pki.Certificate) string { return c.Locked(t, passphrase, "-scrypt") },
		"traditional": func(c pki.Certificate) string { return c.LockedTraditionally(t, passphrase) },
	} {
		certificates[id] = root.Issue(pki.Options{Names: []string{"locked.example"}, RSA: 2048})
		l := secure(t, id, "p", certificates[id])
		l.DefaultTLSContainer.PrivateKey, l.DefaultTLSContainer.Passphrase = lock(certificates[id]), passphrase
		lb.Listeners = append(lb.Listeners, l)
	}
	serve(t, lb)
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		state, err := shake(t, l, &tls.Config{ServerName: "locked.example", RootCAs: root.Pool()})
		if err != nil {
			t.Errorf("%s: %v", l.ID, err)
			continue
		}
		if !state.PeerCertificates[0].Equal(certificates[l.ID].Leaf) {
			t.Errorf("%s shows another certificate", l.ID)
		}
	}
	res, err := LoadBalancer(lb)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range res.Secrets {
		if secret.GetTlsCertificate().GetPassword() != nil {
			t.Errorf("%s has a passphrase", name)
		}
	}
}

// TestBadPassphrases are refused where Envoy would refuse the secret.
func TestBadPassphrases(t *testing.T) {
	const passphrase = "a passphrase"
	root := pki.New(t, "root")
	good, other := root.Issue(pki.Options{Names: []string{"a"}}), root.Issue(pki.Options{Names: []string{"a"}})
	for name, test := range map[string]struct{ key, passphrase, want string }{
		"wrong":                {good.Locked(t, passphrase), "another", "its key cannot be decrypted with its passphrase"},
		"wrong, traditional":   {good.LockedTraditionally(t, passphrase), "another", "its key cannot be decrypted with its passphrase"},
		"missing":              {good.Locked(t, passphrase), "", "its key is encrypted and there is no passphrase"},
		"missing, traditional": {good.LockedTraditionally(t, passphrase), "", "its key is encrypted and there is no passphrase"},
		"another's":            {other.Locked(t, passphrase), passphrase, "private key does not match"},
		"too dear":             {good.Locked(t, passphrase, "-scrypt", "-scrypt_p", "17"), passphrase, "its key is encrypted with scrypt of more than 32 MiB or 16 passes"},
	} {
		l := secure(t, "l", "", good)
		l.DefaultTLSContainer.PrivateKey, l.DefaultTLSContainer.Passphrase = test.key, test.passphrase
		p := pool("p", model.ProtocolHTTP)
		p.TLSEnabled, p.TLSContainerRef, p.TLSContainer = true, "https://barbican/p", l.DefaultTLSContainer
		res, err := LoadBalancer(&model.LoadBalancer{ID: "lb", VIPAddress: vip, AdminStateUp: true, Listeners: []model.Listener{l}, Pools: []model.Pool{p}})
		if err == nil || strings.Count(err.Error(), "the certificate and its key cannot be used together: "+test.want) != 2 {
			t.Errorf("%s: %v; want %q of the listener and of the pool", name, err, test.want)
		}
		if len(res.Secrets) > 0 {
			t.Errorf("%s: it is sent all the same", name)
		}
	}
}
