package e2e

import (
	"context"
	"encoding/base64"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// barbican is a client of the user's for Barbican.
func (c *cloud) barbican(t *testing.T) *gophercloud.ServiceClient {
	t.Helper()
	barbican, err := openstack.NewKeyManagerV1(c.octavia.ProviderClient, gophercloud.EndpointOpts{Region: c.env["OS_REGION_NAME"]})
	if err != nil {
		t.Fatal(err)
	}
	return barbican
}

// store makes an object of Barbican's and returns its reference. The test's end deletes it, if it is still there.
func (c *cloud) store(t *testing.T, collection string, content fields) string {
	t.Helper()
	barbican := c.barbican(t)
	var answer fields
	if _, err := barbican.Post(t.Context(), barbican.ServiceURL(collection), content, &answer, nil); err != nil { //nolint:bodyclose // read by gophercloud
		t.Fatal(err)
	}
	for _, key := range []string{"secret_ref", "container_ref"} {
		if ref, ok := answer[key].(string); ok {
			t.Cleanup(func() {
				if err := c.unstore(t, ref); err != nil && !gone(err) {
					t.Errorf("delete %s: %v", ref, err)
				}
			})
			return ref
		}
	}
	t.Fatalf("Barbican answers %v", answer)
	return ""
}

// unstore deletes an object of Barbican's, or what belongs to it.
func (c *cloud) unstore(t *testing.T, ref string) error {
	t.Helper()
	_, err := c.barbican(t).Delete(context.WithoutCancel(t.Context()), ref, &gophercloud.RequestOpts{ //nolint:bodyclose // read by gophercloud
		OkCodes: []int{http.StatusOK, http.StatusNoContent},
	})
	return err
}

// text stores a secret that is a text, as bundles in PEM are.
func (c *cloud) text(t *testing.T, name, content string) string {
	t.Helper()
	return c.store(t, "secrets", fields{"name": "e2e " + name, "payload": content, "payload_content_type": "text/plain"})
}

// container stores a certificate with its key as a container of type certificate.
func (c *cloud) container(t *testing.T, name string, parts map[string]string) string {
	t.Helper()
	var refs []fields
	for part, content := range parts {
		refs = append(refs, fields{"name": part, "secret_ref": c.text(t, name+" "+part, content)})
	}
	return c.store(t, "containers", fields{"name": "e2e " + name, "type": "certificate", "secret_refs": refs})
}

// bundle stores a certificate with its key and issuers as PKCS#12 without a password.
func (c *cloud) bundle(t *testing.T, certificate pki.Certificate) string {
	t.Helper()
	keep(t, certificate)
	content, err := pkcs12.Modern2023.Encode(certificate.Key, certificate.Leaf, certificate.Issuers, "")
	if err != nil {
		t.Fatal(err)
	}
	return c.store(t, "secrets", fields{
		"name": "e2e " + certificate.Leaf.Subject.CommonName, "payload": base64.StdEncoding.EncodeToString(content),
		"payload_content_type": "application/octet-stream", "payload_content_encoding": "base64",
	})
}

// opensslBundle makes the same by the program that users have, in base64.
func (c *cloud) opensslBundle(t *testing.T, certificate pki.Certificate) string {
	t.Helper()
	keep(t, certificate)
	folder := t.TempDir()
	chain := certificate.PEM() + strings.Join(certificate.Intermediates(), "")
	for name, content := range map[string]string{"chain.pem": chain, "key.pem": certificate.KeyPEM()} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bundle := filepath.Join(folder, "bundle.p12")
	c.run(t, "openssl", "pkcs12", "-export", "-passout", "pass:", "-in", filepath.Join(folder, "chain.pem"),
		"-inkey", filepath.Join(folder, "key.pem"), "-out", bundle)
	content, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(content)
}

// certificate stores a certificate for a name, with its key, in Barbican, and returns its reference for listeners. The
// test's end deletes it.
func (c *cloud) certificate(t *testing.T, name string) string {
	t.Helper()
	certificate, key := testkit.PEM(t, testkit.NewAuthority(t).Issue(t, testkit.Named(t, name)))
	return c.container(t, name, map[string]string{"certificate": string(certificate), "private_key": string(key)})
}
