package secrets

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/xds/privatekey"
)

// TestPassphrases reads containers whose keys openssl has encrypted: what comes out is what octavia-api would hand over, and
// a mistake has a sentence that says which.
func TestPassphrases(t *testing.T) {
	const passphrase = " two words "
	b := newBarbican(t)
	authority := pki.New(t, "root")
	rsa, other := authority.Issue(pki.Options{Names: []string{"a"}, RSA: 2048}), authority.Issue(pki.Options{Names: []string{"b"}, RSA: 2048})
	lb := func(key, passphrase string) *model.LoadBalancer {
		parts := map[string]string{
			"certificate": b.store("text/plain", []byte(rsa.PEM())), "private_key": b.store("text/plain", []byte(key)),
		}
		if passphrase != "" {
			parts["private_key_passphrase"] = b.store("application/octet-stream", []byte(passphrase))
		}
		return &model.LoadBalancer{ID: "lb", Listeners: []model.Listener{{ID: "l", DefaultTLSContainerRef: b.contain(parts)}}}
	}
	handed := lb("", "")
	handed.Listeners[0].DefaultTLSContainer = rsa.Container()
	handed.Listeners[0].DefaultTLSContainer.PrivateKey, handed.Listeners[0].DefaultTLSContainer.Passphrase = rsa.Locked(t, passphrase), passphrase
	want, err := privatekey.Encode(rsa.Key)
	if err != nil {
		t.Fatal(err)
	}
	resolver := &Resolver{Reader: b.reader(), Logger: slog.New(slog.DiscardHandler)}
	for name, test := range map[string]struct {
		tree *model.LoadBalancer
		why  string
	}{
		"PKCS#8":               {tree: lb(rsa.Locked(t, passphrase), passphrase)},
		"PKCS#8 with scrypt":   {tree: lb(rsa.Locked(t, passphrase, "-scrypt"), passphrase)},
		"traditional":          {tree: lb(rsa.LockedTraditionally(t, passphrase), passphrase)},
		"needless":             {tree: lb(rsa.KeyPEM(), passphrase)},
		"handed over":          {tree: handed},
		"wrong":                {lb(rsa.Locked(t, passphrase), "two words"), "cannot be decrypted with its passphrase"},
		"wrong, traditional":   {lb(rsa.LockedTraditionally(t, passphrase), "two words"), "cannot be decrypted with its passphrase"},
		"missing":              {lb(rsa.Locked(t, passphrase), ""), "is encrypted and there is no passphrase: add private_key_passphrase"},
		"missing, traditional": {lb(rsa.LockedTraditionally(t, passphrase), ""), "is encrypted and there is no passphrase: add private_key_passphrase"},
		"another's":            {lb(other.Locked(t, passphrase), passphrase), "cannot be used together: private key does not match"},
		"too dear":             {lb(rsa.Locked(t, passphrase, "-iter", "2000001"), passphrase), "2000000 are the most"},
		"too old":              {lb(rsa.Locked(t, passphrase, "-v1", "PBE-SHA1-3DES"), passphrase), "encrypt it as openssl pkcs8 -topk8 does"},
	} {
		reasons := resolver.Resolve(t.Context(), test.tree, nil)
		why := reasons[model.Ref{Kind: model.KindListener, ID: "l"}]
		if test.why != "" {
			if !strings.Contains(why, test.why) || strings.Contains(why, "two words") || strings.Contains(why, "BEGIN") {
				t.Errorf("%s: %q; want %q", name, why, test.why)
			}
			continue
		}
		if got := test.tree.Listeners[0].DefaultTLSContainer; why != "" || got.PrivateKey != want || got.Passphrase != "" {
			t.Errorf("%s: %q, the key is Octavia's %t, a passphrase is left %t", name, why, got != nil && got.PrivateKey == want,
				got != nil && got.Passphrase != "")
		}
	}
}

// TestOpenSSLBundles reads PKCS#12 bundles as openssl makes them, with the empty password.
func TestOpenSSLBundles(t *testing.T) {
	b := newBarbican(t)
	certificate := pki.New(t, "root").Issue(pki.Options{Names: []string{"a"}})
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chain, key, bundle := file("chain", certificate.PEM()), file("key", certificate.KeyPEM()), file("bundle", "")
	want, err := privatekey.Encode(certificate.Key)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		password string
		more     []string
		why      string
	}{
		"default":         {},
		"3DES":            {more: []string{"-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"}},
		"certs in clear":  {more: []string{"-certpbe", "NONE"}},
		"all in clear":    {more: []string{"-certpbe", "NONE", "-keypbe", "NONE", "-nomac"}},
		"too dear a MAC":  {more: []string{"-certpbe", "NONE", "-keypbe", "NONE", "-iter", "2000001"}, why: "hashed 2000001 times"},
		"with a password": {password: "secret", why: "with a password: store one without"},
		"too dear":        {more: []string{"-iter", "2000001"}, why: "hashed 2000001 times, and 2000000 are the most"},
	} {
		args := append([]string{"pkcs12", "-export", "-passout", "pass:" + test.password, "-in", chain, "-inkey", key, "-out", bundle}, test.more...)
		if out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		content, err := os.ReadFile(bundle)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.reader().Certificate(t.Context(), b.store("application/octet-stream", content))
		if test.why != "" {
			if err == nil || !strings.Contains(err.Error(), test.why) {
				t.Errorf("%s: %v; want %q", name, err, test.why)
			}
			continue
		}
		if err != nil || got.PrivateKey != want {
			t.Errorf("%s: %v, the key is Octavia's %t", name, err, got != nil && got.PrivateKey == want)
		}
	}
}
