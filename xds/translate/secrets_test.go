package translate

import (
	"slices"
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

// TestChainOrder has issuers in every order, and one that is not of the chain: clients get the chain first.
func TestChainOrder(t *testing.T) {
	leaf := pki.New(t, "root").Intermediate("outer").Intermediate("middle").Intermediate("inner").Issue(pki.Options{Names: []string{"a.example"}})
	inner, middle, outer := leaf.Intermediates()[0], leaf.Intermediates()[1], leaf.Intermediates()[2]
	stranger := pki.New(t, "stranger").PEM()
	want := leaf.PEM() + inner + middle + outer + stranger
	for _, issuers := range [][]string{
		{inner, middle, outer, stranger},
		{stranger, outer, middle, inner},
		{middle, stranger, inner, outer},
	} {
		container := leaf.Container()
		container.Intermediates = slices.Clone(issuers)
		if got := string(chainOf(container)); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
		if !slices.Equal(container.Intermediates, issuers) {
			t.Error("the container's issuers have changed")
		}
	}
	root := pki.New(t, "alone")
	container := leaf.Container()
	container.Certificate, container.Intermediates = root.PEM(), []string{"no certificate", root.PEM()}
	if got, want := string(chainOf(container)), root.PEM()+"no certificate\n"+root.PEM(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
