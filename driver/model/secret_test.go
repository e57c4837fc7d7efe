package model

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecrets(t *testing.T) {
	var lb LoadBalancer
	err := json.Unmarshal([]byte(`{
		"loadbalancer_id": "lb",
		"listeners": [
			{"listener_id": "plain"},
			{"listener_id": "l", "default_tls_container_ref": "u/d", "default_tls_container_data": {"id": "1", "certificate": "C", "private_key": "K"},
			 "sni_container_refs": ["u/0", "u/1"], "sni_container_data": [{"id": "2", "certificate": "S", "private_key": "K"}],
			 "client_ca_tls_container_ref": "u/ca", "client_ca_tls_container_data": "PEM CA", "client_crl_container_ref": "u/crl"}],
		"pools": [{"pool_id": "p", "tls_container_ref": "u/c", "ca_tls_container_ref": "u/pca", "ca_tls_container_data": "PEM",
		           "crl_container_ref": "u/pcrl", "crl_container_data": "PEM"}]}`), &lb)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][3]any{}
	for _, secret := range lb.Secrets() {
		got[secret.Name()] = [3]any{secret.URL, secret.IsCertificate(), secret.Missing()}
	}
	want := map[string][3]any{
		"l/default": {"u/d", true, false}, "l/sni/0": {"u/0", true, false}, "l/sni/1": {"u/1", true, true},
		"l/client-ca": {"u/ca", false, false}, "l/client-crl": {"u/crl", false, true},
		"p/client": {"u/c", true, true}, "p/ca": {"u/pca", false, false}, "p/crl": {"u/pcrl", false, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, secret := range lb.Secrets() {
		secret.SetCertificate(&TLSContainer{Certificate: secret.Name()})
		secret.SetPEM(PEM(secret.Name()))
	}
	l, p := lb.Listeners[1], lb.Pools[0]
	for name, in := range map[string]string{
		"l/default": l.DefaultTLSContainer.Certificate, "l/sni/0": l.SNIContainers[0].Certificate, "l/sni/1": l.SNIContainers[1].Certificate,
		"l/client-ca": string(l.ClientCATLSContainer), "l/client-crl": string(l.ClientCRLContainer),
		"p/client": p.TLSContainer.Certificate, "p/ca": string(p.CATLSContainer), "p/crl": string(p.CRLContainer),
	} {
		if in != name {
			t.Errorf("%s holds what was set for %q", name, in)
		}
	}
}
