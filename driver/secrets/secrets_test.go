package secrets

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// barbican answers as Barbican's REST API does, for the real gophercloud.
type barbican struct {
	*httptest.Server
	secrets    map[string]stored
	containers map[string]map[string]string
	status     int
}

type stored struct {
	kind    string
	payload []byte
}

func newBarbican(t *testing.T) *barbican {
	t.Helper()
	b := &barbican{secrets: map[string]stored{}, containers: map[string]map[string]string{}}
	b.Server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.Close)
	return b
}

func (b *barbican) reader() *Reader {
	return NewReader(func(context.Context) (*gophercloud.ServiceClient, error) {
		return &gophercloud.ServiceClient{
			ProviderClient: &gophercloud.ProviderClient{TokenID: "token"}, Endpoint: b.URL + "/", ResourceBase: b.URL + "/v1/",
		}, nil
	})
}

func (b *barbican) store(kind string, payload []byte) string {
	id := uuid.NewString()
	b.secrets[id] = stored{kind, payload}
	// The host is a tenant's word: it is never asked.
	return "http://elsewhere.example:9311/v1/secrets/" + id
}

func (b *barbican) contain(parts map[string]string) string {
	id := uuid.NewString()
	b.containers[id] = parts
	return "http://elsewhere.example:9311/v1/containers/" + id
}

func (b *barbican) serve(w http.ResponseWriter, r *http.Request) {
	if b.status != 0 {
		w.WriteHeader(b.status)
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	secret, isSecret := b.secrets[parts[2]]
	container, isContainer := b.containers[parts[2]]
	w.Header().Set("Content-Type", "application/json")
	switch {
	case isSecret && len(parts) == 3:
		_, _ = fmt.Fprintf(w, `{"status": "ACTIVE", "content_types": {"default": %q}}`, secret.kind)
	case isSecret:
		if want := r.Header.Get("Accept"); !strings.HasPrefix(secret.kind, want) {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		_, _ = w.Write(secret.payload)
	case isContainer:
		var refs []string
		for name, ref := range container {
			refs = append(refs, fmt.Sprintf(`{"name": %q, "secret_ref": %q}`, name, ref))
		}
		_, _ = fmt.Fprintf(w, `{"type": "certificate", "secret_refs": [%s]}`, strings.Join(refs, ","))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func bundle(t *testing.T, certificate pki.Certificate, password string, encoder *pkcs12.Encoder) []byte {
	t.Helper()
	der, err := encoder.Encode(certificate.Key, certificate.Leaf, certificate.Issuers, password)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func encodedKey(kind string, der []byte) string {
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

// TestCertificates reads what users store, in all the ways that Octavia takes.
func TestCertificates(t *testing.T) {
	b := newBarbican(t)
	authority := pki.New(t, "root").Intermediate("outer").Intermediate("inner")
	// What Octavia makes of a key, in PKCS#12 and in containers: PrivateFormat.TraditionalOpenSSL, stripped.
	octaviasKey := map[string]func(*testing.T, pki.Certificate) string{
		"RSA": func(_ *testing.T, c pki.Certificate) string {
			return encodedKey("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(c.Key.(*rsa.PrivateKey)))
		},
		"ECDSA": func(t *testing.T, c pki.Certificate) string {
			t.Helper()
			der, err := x509.MarshalECPrivateKey(c.Key.(*ecdsa.PrivateKey))
			if err != nil {
				t.Fatal(err)
			}
			return encodedKey("EC PRIVATE KEY", der)
		},
	}
	for name, certificate := range map[string]pki.Certificate{
		"RSA":   authority.Issue(pki.Options{Names: []string{"rsa.example"}, RSA: 2048}),
		"ECDSA": authority.Issue(pki.Options{Names: []string{"ecdsa.example"}}),
	} {
		inner, outer := certificate.Intermediates()[0], certificate.Intermediates()[1]
		packed, err := pkcs7.DegenerateCertificate(append(certificate.Issuers[1].Raw, certificate.Issuers[0].Raw...))
		if err != nil {
			t.Fatal(err)
		}
		part := func(kind, content string) string { return b.store(kind, []byte(content)) }
		parts := func(intermediates string) map[string]string {
			return map[string]string{
				"certificate": part("text/plain", certificate.PEM()), "private_key": part("text/plain; charset=utf-8", certificate.KeyPEM()),
				"intermediates": intermediates,
			}
		}
		// Their order is that of the user's: package translate sees to the chain's.
		want := append([]string{certificate.PEM(), octaviasKey[name](t, certificate)}, slices.Sorted(slices.Values([]string{inner, outer}))...)
		for form, ref := range map[string]string{
			"PKCS#12, modern":  b.store("application/octet-stream", bundle(t, certificate, "", pkcs12.Modern)),
			"PKCS#12, old":     b.store("application/octet-stream", bundle(t, certificate, "", pkcs12.LegacyDES)),
			"PKCS#12, oldest":  b.store("application/octet-stream", bundle(t, certificate, "", pkcs12.LegacyRC2)),
			"PKCS#12, clear":   b.store("application/octet-stream", bundle(t, certificate, "", pkcs12.Passwordless)),
			"container":        b.contain(parts(part("text/plain", inner+outer))),
			"container, mixed": b.contain(parts(part("text/plain", outer+inner))),
			"container, PKCS#7": b.contain(parts(part("text/plain",
				string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: packed}))))),
			"container, PKCS#7 in DER": b.contain(parts(b.store("application/octet-stream", packed))),
		} {
			got, err := b.reader().Certificate(t.Context(), ref)
			if err != nil {
				t.Errorf("%s, %s: %v", name, form, err)
				continue
			}
			if diff := cmp.Diff(want, append([]string{got.Certificate, got.PrivateKey}, slices.Sorted(slices.Values(got.Intermediates))...)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, form, diff)
			}
			if got.PrimaryCN != certificate.Leaf.Subject.CommonName || len(got.ID) != 40 {
				t.Errorf("%s, %s: it is %q of %q", name, form, got.ID, got.PrimaryCN)
			}
		}
	}
	ca := b.store("text/plain", []byte(authority.PEM()))
	if got, err := b.reader().PEM(t.Context(), ca); err != nil || string(got) != authority.PEM() {
		t.Errorf("a bundle in PEM: %q, %v", got, err)
	}
}

// TestMistakes are the users' own, each with its sentence and without a trace of a key.
func TestMistakes(t *testing.T) {
	b := newBarbican(t)
	certificate := pki.New(t, "root").Issue(pki.Options{Names: []string{"x.example"}})
	key := b.store("text/plain", []byte(certificate.KeyPEM()))
	leaf := b.store("text/plain", []byte(certificate.PEM()))
	for name, test := range map[string]struct {
		ref    string
		status int
		want   string
	}{
		"no reference":   {ref: "my certificate", want: "is no reference to a secret or container of Barbican"},
		"an order":       {ref: "https://b/v1/orders/" + uuid.NewString(), want: "is no reference to a secret or container"},
		"a path":         {ref: "https://b/v1/secrets/../../x", want: "is no reference to a secret or container"},
		"gone":           {ref: "https://b/v1/secrets/" + uuid.NewString(), want: "does not exist in Barbican"},
		"container gone": {ref: "https://b/v1/containers/" + uuid.NewString(), want: "does not exist in Barbican"},
		"no rights":      {ref: leaf, status: http.StatusForbidden, want: "may not read the secret"},
		"down":           {ref: leaf, status: http.StatusServiceUnavailable, want: "Barbican does not answer"},
		"empty":          {ref: b.store("", nil), want: "is empty"},
		"a password": {
			ref: b.store("application/octet-stream", bundle(t, certificate, "secret", pkcs12.Modern)), want: "with a password: store one without",
		},
		"PEM":            {ref: leaf, want: "no PKCS#12 bundle"},
		"garbage":        {ref: b.store("application/octet-stream", []byte(certificate.KeyPEM())), want: "no PKCS#12 bundle"},
		"no key":         {ref: b.contain(map[string]string{"certificate": leaf}), want: "has no private_key"},
		"no certificate": {ref: b.contain(map[string]string{"private_key": key}), want: "has no certificate"},
		"changed places": {ref: b.contain(map[string]string{"certificate": key, "private_key": leaf}), want: "its certificate is none in PEM"},
		"no PEM key":     {ref: b.contain(map[string]string{"certificate": leaf, "private_key": leaf}), want: "its key is none in PEM"},
		"intermediates": {
			ref:  b.contain(map[string]string{"certificate": leaf, "private_key": key, "intermediates": b.store("text/plain", []byte("x"))}),
			want: "its intermediates are neither",
		},
	} {
		b.status = test.status
		got, err := b.reader().Certificate(t.Context(), test.ref)
		if err == nil || !strings.Contains(err.Error(), test.want) || got != nil {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), "BEGIN") || strings.Contains(err.Error(), "MI")) {
			t.Errorf("%s: the error shows what was read: %v", name, err)
		}
		if down := errors.Is(err, ErrUnavailable); down != (test.status == http.StatusServiceUnavailable) {
			t.Errorf("%s: it may be tried again: %v", name, down)
		}
	}
	b.status = 0
	if _, err := b.reader().PEM(t.Context(), b.contain(nil)); err == nil || !strings.Contains(err.Error(), "is a container") {
		t.Errorf("a container for a bundle: %v", err)
	}
}

func TestResolve(t *testing.T) {
	b := newBarbican(t)
	authority := pki.New(t, "root")
	stored := func(name string) (string, *model.TLSContainer) {
		certificate := authority.Issue(pki.Options{Names: []string{name}})
		return b.store("application/octet-stream", bundle(t, certificate, "", pkcs12.Modern)), certificate.Container()
	}
	first, held := stored("first")
	second, _ := stored("second")
	lb := func(ref string, certificate *model.TLSContainer) *model.LoadBalancer {
		return &model.LoadBalancer{ID: "lb", Listeners: []model.Listener{{
			ID: "l", DefaultTLSContainerRef: ref, DefaultTLSContainer: certificate,
		}}}
	}
	spoil := *held
	spoil.PrivateKey = authority.Issue(pki.Options{Names: []string{"x"}}).KeyPEM()
	spoiled := &spoil
	owner := model.Ref{Kind: model.KindListener, ID: "l"}
	resolver := &Resolver{Reader: b.reader(), Logger: slog.New(slog.DiscardHandler)}
	for name, test := range map[string]struct {
		tree, known *model.LoadBalancer
		down        bool
		want, why   string
	}{
		"there":                        {tree: lb(first, held), want: "first"},
		"read":                         {tree: lb(first, nil), want: "first"},
		"an id alone":                  {tree: lb(first, &model.TLSContainer{ID: "1"}), want: "first"},
		"down, as before":              {tree: lb(first, nil), known: lb(first, held), down: true, want: "first"},
		"down, something new":          {tree: lb(first, nil), down: true, why: "it is tried again"},
		"down, another":                {tree: lb(second, nil), known: lb(first, held), down: true, want: "first", why: "until then it goes on with " + first},
		"spoiled behind its reference": {tree: lb(first, spoiled), known: lb(first, held), want: "first"},
		"spoiled, something new":       {tree: lb(first, spoiled), want: "first", why: "cannot be used together"},
		"spoiled, another":             {tree: lb(second, spoiled), known: lb(first, held), want: "first", why: "until then it goes on with " + first},
		"read, another":                {tree: lb(second, nil), known: lb(first, held), want: "second"},
	} {
		b.status = 0
		if test.down {
			b.status = http.StatusServiceUnavailable
		}
		reasons := resolver.Resolve(t.Context(), test.tree, test.known)
		got := ""
		if certificate := test.tree.Secrets()[0].Certificate(); certificate != nil {
			got = certificate.PrimaryCN
		}
		if got != test.want || !strings.Contains(reasons[owner], test.why) || (test.why == "") != (len(reasons) == 0) {
			t.Errorf("%s: it has %q, because %v", name, got, reasons)
		}
	}
}
