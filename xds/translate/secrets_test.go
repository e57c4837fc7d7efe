package translate

import (
	"strings"
	"sync"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// authority signs what fillSecrets gives out; it lives as long as the test binary.
var authority = sync.OnceValue(func() *pki.Authority { return pki.New(&panics{}, "translate CA").Intermediate("translate issuer") })

// panics is a testing.TB for what outlives a test.
type panics struct{ testing.TB }

func (*panics) Helper()           {}
func (*panics) Fatal(args ...any) { panic(args) }

// fillSecrets puts new certificates where the cases of testdata refer to some: no key is in the repository. What a
// reference is says the rest of its URL: rsa, ecdsa, ca, crl, and missing for what could not be read.
func fillSecrets(tb testing.TB, tree *model.LoadBalancer) {
	tb.Helper()
	for _, place := range tree.Secrets() {
		kind, known := strings.CutPrefix(place.URL, "test:")
		if !known {
			continue
		}
		switch kind {
		case "rsa":
			place.SetCertificate(authority().Issue(pki.Options{Names: []string{"rsa.example"}, RSA: 2048}).Container())
		case "ecdsa":
			place.SetCertificate(authority().Issue(pki.Options{Names: []string{"ecdsa.example"}}).Container())
		case "ca":
			place.SetPEM(model.PEM(authority().PEM()))
		case "crl":
			place.SetPEM(model.PEM(authority().CRL()))
		case "missing":
		default:
			tb.Fatalf("%s refers to %s, which is nothing that this test makes", place.Name(), place.URL)
		}
	}
}
