package e2e

import (
	"context"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// certificate stores a certificate for a name, with its key, in Barbican, and returns its reference for listeners. The
// test's end deletes it.
func (c *cloud) certificate(t *testing.T, name string) string {
	t.Helper()
	barbican, err := openstack.NewKeyManagerV1(c.octavia.ProviderClient, gophercloud.EndpointOpts{Region: c.env["OS_REGION_NAME"]})
	if err != nil {
		t.Fatal(err)
	}
	store := func(collection string, content fields) string {
		t.Helper()
		var answer fields
		if _, err := barbican.Post(t.Context(), barbican.ServiceURL(collection), content, &answer, nil); err != nil { //nolint:bodyclose // read by gophercloud
			t.Fatal(err)
		}
		for _, key := range []string{"secret_ref", "container_ref"} {
			if ref, ok := answer[key].(string); ok {
				t.Cleanup(func() {
					if _, err := barbican.Delete(context.WithoutCancel(t.Context()), ref, nil); err != nil { //nolint:bodyclose // as above
						t.Errorf("delete %s: %v", ref, err)
					}
				})
				return ref
			}
		}
		t.Fatalf("Barbican answers %v", answer)
		return ""
	}
	secret := func(kind string, content []byte) fields {
		t.Helper()
		return fields{"name": kind, "secret_ref": store("secrets", fields{
			"name": "e2e " + kind, "payload": string(content), "payload_content_type": "text/plain",
		})}
	}
	certificate, key := testkit.PEM(t, testkit.NewAuthority(t).Issue(t, testkit.Named(t, name)))
	return store("containers", fields{"name": "e2e " + name, "type": "certificate", "secret_refs": []fields{
		secret("certificate", certificate), secret("private_key", key),
	}})
}
