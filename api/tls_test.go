package api_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

const (
	certificateRef = "https://barbican.example/v1/secrets/90000000-0000-4000-8000-00000000000a"
	unusable       = certificateRef + " cannot be used: the certificate and its key cannot be used together: private key does not match public key."
)

// handedOver is a certificate as octavia-api hands it over. model.TLSContainer encodes as its id alone.
func handedOver(t *testing.T, c *model.TLSContainer) string {
	t.Helper()
	document, err := json.Marshal(map[string]any{
		"id": c.ID, "primary_cn": c.PrimaryCN, "certificate": c.Certificate, "private_key": c.PrivateKey, "passphrase": nil,
		"intermediates": c.Intermediates,
	})
	require.NoError(t, err)
	return string(document)
}

// TestTLSCalls makes calls about TLS, with certificates in them as octavia-api has. No key is in an answer, log or audit.
func TestTLSCalls(t *testing.T) {
	authority := pki.New(t, "root").Intermediate("intermediate")
	issue := func(name string) *model.TLSContainer {
		return authority.Issue(pki.Options{Names: []string{name}}).Container()
	}
	good, other, mixed := issue("good.example"), issue("other.example"), issue("mixed.example")
	mixed.PrivateKey = other.PrivateKey
	const listeners, listener, pool = "/v1/listeners", "/v1/listeners/" + listenerID, "/v1/pools/" + poolID
	create := func(rest string) string {
		return `{"listener_id": "` + newID + `", "loadbalancer_id": "` + lbID + `", "protocol": "TERMINATED_HTTPS", "protocol_port": 443` + rest + `}`
	}
	withRef := func(c *model.TLSContainer) string {
		return `"default_tls_container_ref": "` + certificateRef + `", "default_tls_container_data": ` + handedOver(t, c)
	}
	// secure is a load balancer whose listener and pool have TLS.
	secure := func(lb *model.LoadBalancer) {
		l, p := &lb.Listeners[0], &lb.Pools[0]
		l.Protocol, l.DefaultTLSContainerRef, l.DefaultTLSContainer = model.ProtocolTerminatedHTTPS, "https://barbican.example/old", other
		p.TLSEnabled = true
	}
	plain := func(*model.LoadBalancer) {}
	for name, test := range map[string]struct {
		known              func(*model.LoadBalancer)
		method, path, body string
		// field and message are empty for a call that is taken.
		status         int
		field, message string
	}{
		"create":         {plain, "POST", listeners, create(", " + withRef(good)), 202, "", ""},
		"create, unread": {plain, "POST", listeners, create(`, "default_tls_container_ref": "` + certificateRef + `"`), 202, "", ""},
		"create without a certificate": {
			plain, "POST", listeners, create(""), 400, "default_tls_container_ref",
			"A TERMINATED_HTTPS listener needs a certificate; give it default_tls_container_ref.",
		},
		"another's key": {plain, "POST", listeners, create(", " + withRef(mixed)), 501, "default_tls_container_ref", unusable},
		"another's key for a name": {
			plain, "POST", listeners, create(", " + withRef(good) + `, "sni_container_refs": ["` + certificateRef + `"], "sni_container_data": [` +
				handedOver(t, mixed) + `]`),
			501, "sni_container_refs", unusable,
		},
		"rotation":                  {secure, "PUT", listener, "{" + withRef(good) + "}", 202, "", ""},
		"rotation, unread":          {secure, "PUT", listener, `{"default_tls_container_ref": "` + certificateRef + `"}`, 202, "", ""},
		"rotation to another's key": {secure, "PUT", listener, "{" + withRef(mixed) + "}", 501, "default_tls_container_ref", unusable},
		"versions":                  {secure, "PUT", listener, `{"tls_versions": ["TLSv1.2"]}`, 202, "", ""},
		"a gap": {
			secure, "PUT", listener, `{"tls_versions": ["TLSv1.1", "TLSv1.3"]}`, 501, "tls_versions", "The TLS versions cannot be served: TLSv1.2 is " +
				"missing between TLSv1.1 and TLSv1.3: a gap is not supported, add it or leave out one of the two.",
		},
		"authentication without a CA": {
			secure, "PUT", listener, `{"client_authentication": "MANDATORY"}`, 400, "client_authentication",
			"Client certificates are held against client_ca_tls_container_ref, which is missing.",
		},
		"certificate of an HTTP listener": {
			plain, "PUT", listener, "{" + withRef(good) + "}", 501, "default_tls_container_ref",
			"A listener of protocol HTTP has no default_tls_container_ref; use a TERMINATED_HTTPS listener.",
		},
		"unknown listener": {
			func(lb *model.LoadBalancer) { lb.Listeners = nil }, "PUT", listener,
			`{"loadbalancer_id": "` + lbID + `", ` + withRef(good) + `, "client_authentication": "OPTIONAL"}`, 202, "", "",
		},
		"TLS to members":      {plain, "PUT", pool, `{"tls_enabled": true}`, 202, "", ""},
		"CA of members alone": {plain, "PUT", pool, `{"ca_tls_container_ref": "x"}`, 501, "ca_tls_container_ref", "It is for TLS to the members; set tls_enabled, too."},
		"CA of members":       {secure, "PUT", pool, `{"ca_tls_container_ref": "x"}`, 202, "", ""},
		"CA of members of an unknown pool": {
			func(lb *model.LoadBalancer) { lb.Pools, lb.Listeners = nil, nil }, "PUT", pool,
			`{"loadbalancer_id": "` + lbID + `", "ca_tls_container_ref": "x"}`, 202, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.save(test.known)
			got := h.call(test.method, test.path, test.body)
			if test.status == 202 {
				h.accepted(got)
			} else {
				var refused struct {
					Error struct{ Field, Message string } `json:"error"`
				}
				require.NoError(t, json.Unmarshal([]byte(got.Body), &refused))
				assert.Equal(t, []any{test.status, test.field, test.message}, []any{got.Status, refused.Error.Field, refused.Error.Message})
			}
			said := []string{got.Body, h.logs.String()}
			for _, entry := range h.audit(lbID) {
				said = append(said, entry.Message)
			}
			for _, secret := range []*model.TLSContainer{good, mixed, other} {
				body := strings.Split(secret.PrivateKey, "\n")[1]
				assert.NotContains(t, strings.Join(said, "\n"), body)
			}
		})
	}
}
