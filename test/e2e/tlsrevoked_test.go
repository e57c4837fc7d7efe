package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// TestRevokedMembers has members whose certificates are taken back, and given again, by lists of their authority: no member
// whose certificate is on the list is asked anything, and another is, if there is one.
func TestRevokedMembers(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	insiders := pki.New(t, "e2e insiders")
	certificates, ports := map[int]pki.Certificate{}, []int{8446, 8447}
	for _, port := range ports {
		certificates[port] = insiders.Issue(pki.Options{Names: []string{"www.example.com"}})
		c.tlsMember(t, port, &tls.Config{Certificates: []tls.Certificate{certificates[port].TLS()}, MinVersion: tls.VersionTLS12}).
			Config.SetKeepAlivesEnabled(false) // so that each request is a handshake
	}
	revoked := func(some ...int) string {
		var all []pki.Certificate
		for _, port := range some {
			all = append(all, certificates[port])
		}
		return c.text(t, "revoked members", insiders.CRL(all...))
	}
	ref, ca := c.bundle(t, issuer.Issue(pki.Options{Names: []string{"www.example.com"}})), c.text(t, "insiders", insiders.PEM())
	encrypted := func(name, list string, ports ...int) fields {
		var members []fields
		for _, port := range ports {
			members = append(members, c.member(1, port, fields{"name": strconv.Itoa(port)}))
		}
		return pool(name, "HTTP", members, fields{
			"tls_enabled": true, "tls_versions": []string{"TLSv1.2", "TLSv1.3"}, "tls_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256",
			"alpn_protocols": []string{"http/1.1"}, "ca_tls_container_ref": ca, "crl_container_ref": list,
		})
	}
	s := c.populate(t, "e2e-revoked-members", []fields{
		terminated("both", 443, "both", ref), terminated("one", 444, "one", ref),
	}, []fields{encrypted("both", revoked(8446), ports...), encrypted("one", revoked(8446), 8446)})
	client := c.tlsClient(t, trusting(root, "www.example.com"))
	// met waits until a few requests in a row have no answers but these, and each of them.
	met := func(port int, want ...string) {
		t.Helper()
		eventually(t, patience, func() error {
			var got []string
			for range 8 {
				response, _, err := tryAsk(t, client, "https://"+s.at(port)+"/")
				if err != nil {
					return err
				}
				got = append(got, fmt.Sprint(response.StatusCode, " ", response.Header.Get("Member")))
			}
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, want) {
				return fmt.Errorf("at %d the answers are %q, not %q", port, got, want)
			}
			return nil
		})
	}
	met(443, "200 8447")
	met(444, "503 ")
	before := c.versions(t, s.lb.ID)
	// The list is replaced under a new reference, which is a change of a secret alone.
	s.cli(t, "loadbalancer pool set --crl-container-ref "+revoked()+" [pool one]")
	met(444, "200 8446")
	s.put(t, "pool", "pools/"+s.id(t, "pool both"), fields{"crl_container_ref": revoked(8447)})
	met(443, "200 8446")
	if got := changed(before, c.versions(t, s.lb.ID)); !slices.Equal(got, []string{"secret"}) {
		t.Errorf("the lists changed %v", got)
	}
	s.put(t, "pool", "pools/"+s.id(t, "pool both"), fields{"crl_container_ref": revoked(ports...)})
	met(443, "503 ")
	// Without a list, nobody is on it.
	s.put(t, "pool", "pools/"+s.id(t, "pool both"), fields{"crl_container_ref": nil})
	met(443, "200 8446", "200 8447")
	met(444, "200 8446")
	// Somebody else's list says nothing about these members, and is not taken for theirs.
	foreign := pki.New(t, "e2e strangers").CRL(certificates[8446])
	status, said := c.refusal(t, http.MethodPut, "pools/"+s.id(t, "pool one"), fields{"pool": fields{"crl_container_ref": c.text(t, "foreign", foreign)}})
	if status != http.StatusBadRequest || !strings.Contains(said, "The CRL specified is not valid for client certificate authority") { // Octavia's own words
		t.Errorf("another authority's list is answered %d: %s", status, said)
	}
	c.settle(t, s.lb.ID)
	s.allActive(t)
}
