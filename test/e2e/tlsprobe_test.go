package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// TestTLSProbes asks a listener by openssl what testssl.sh asks: each version with each family of ciphers and each protocol,
// and of every answer the stapled response and the order of the chain. TestTLSParameters does so for other settings.
func TestTLSProbes(t *testing.T) {
	t.Parallel()
	c := shared
	root := pki.New(t, "e2e root")
	issuer := root.Intermediate("e2e upper").Intermediate("e2e lower")
	responder, now := newResponder(t), time.Now()
	issue := func(bits int) string {
		certificate := issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: bits, OCSPServers: []string{responder.url}})
		responder.says(certificate, issuer.OCSP(certificate, ocsp.Good, now.Add(-time.Minute), now.Add(24*time.Hour)))
		keep(t, certificate)
		// As it should not be: all issuers in the wrong order.
		issuers := certificate.Intermediates()
		slices.Reverse(issuers)
		return c.container(t, "probed", map[string]string{
			"certificate": certificate.PEM(), "private_key": certificate.KeyPEM(), "intermediates": root.PEM() + strings.Join(issuers, ""),
		})
	}
	s := c.populate(t, "e2e-probes", []fields{
		terminated("web", 443, "web", issue(2048), fields{"sni_container_refs": []string{issue(0)}}),
	}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	probe := func(more ...string) string {
		return c.sClient(t, s.at(443), append([]string{"-servername", "www.example.com", "-status", "-showcerts"}, more...)...)
	}
	eventually(t, patience, func() error {
		for _, signatures := range []string{"RSA-PSS+SHA256", "ECDSA+SHA256"} {
			for range 6 {
				if shown := probe("-sigalgs", signatures); !strings.Contains(shown, "Cert Status: good") {
					return fmt.Errorf("nothing is stapled for %s", signatures)
				}
			}
		}
		return nil
	})
	// taken are ciphers by version, and the kind of key that they are for.
	taken := map[string]map[string]string{
		"1.3": {"TLS_AES_128_GCM_SHA256": "", "TLS_AES_256_GCM_SHA384": "", "TLS_CHACHA20_POLY1305_SHA256": ""},
		"1.2": {
			"ECDHE-RSA-AES128-GCM-SHA256": "rsaEncryption", "ECDHE-RSA-AES256-GCM-SHA384": "rsaEncryption", "ECDHE-RSA-CHACHA20-POLY1305": "rsaEncryption",
			"ECDHE-ECDSA-AES128-GCM-SHA256": "id-ecPublicKey", "ECDHE-ECDSA-AES256-GCM-SHA384": "id-ecPublicKey",
			"ECDHE-ECDSA-CHACHA20-POLY1305": "id-ecPublicKey",
		},
	}
	probes := 0
	for version, ciphers := range taken {
		flags, option := []string{"-tls" + strings.ReplaceAll(version, ".", "_")}, map[string]string{"1.3": "-ciphersuites", "1.2": "-cipher"}[version]
		for cipher, key := range ciphers {
			for offered, want := range map[string]string{"": "No ALPN negotiated", "http/1.1": "ALPN protocol: http/1.1", "http/1.1,h2": "ALPN protocol: h2"} {
				words := append(slices.Clone(flags), option, cipher)
				if offered != "" {
					words = append(words, "-alpn", offered)
				}
				shown := probe(words...)
				probes++
				wants := []string{
					"New, TLSv" + version + ", Cipher is " + cipher, want, "PKEY: " + key, "Cert Status: good", "Compression: NONE",
					"0 s:CN = www.example.com", "1 s:CN = e2e lower", "2 s:CN = e2e upper", "3 s:CN = e2e root",
				}
				if version == "1.2" {
					wants = append(wants, "Secure Renegotiation IS supported", "Extended master secret: yes")
				}
				for _, want := range wants {
					if !strings.Contains(shown, want) {
						t.Errorf("%v: no %q in:\n%s", words, want, shown)
					}
				}
			}
		}
	}
	// What nobody should offer: old versions, and of TLS 1.2 what has no forward secrecy, no integrity of its own, or is weak.
	refused := map[string][]string{
		"1.0": {"ALL"}, "1.1": {"ALL"},
		"1.2": {
			"aNULL", "eNULL", "DHE", "kRSA", "CAMELLIA", "ARIA", "AESCCM", "SHA1", "SHA256", "SHA384",
			"ECDHE+SHA1", "ECDHE+SHA256", "ECDHE+SHA384",
		},
	}
	for version, families := range refused {
		flag := strings.TrimSuffix("-tls"+strings.ReplaceAll(version, ".", "_"), "_0")
		for _, family := range families {
			// OpenSSL itself must let them through.
			shown := probe(flag, "-cipher", family+":@SECLEVEL=0")
			probes++
			if !strings.Contains(shown, "Cipher is (NONE)") || !strings.Contains(shown, "alert ") {
				t.Errorf("TLS %s, %s, is not refused by the listener:\n%s", version, family, shown)
			}
		}
	}
	t.Logf("%d probes", probes)
}
