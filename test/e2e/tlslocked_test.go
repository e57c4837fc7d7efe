package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/openstack"
	"github.com/octavia-envoy/octavia-envoy/driver/secrets"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// reader reads Barbican as the controller does.
func (c *cloud) reader() *secrets.Reader {
	return secrets.NewReader(openstack.New(openstack.Credentials{
		AuthURL: c.env["OS_AUTH_URL"], Username: "octavia", PasswordFile: c.env["OE_STATE"] + "/etc/octavia.password",
		ProjectName: "service", UserDomainName: "Default", ProjectDomainName: "Default", Region: c.env["OS_REGION_NAME"],
	}).KeyManager)
}

// TestLockedKeys has certificates in Barbican whose keys openssl has encrypted: listeners serve them, what octavia-api makes of
// them and what the controller does is the same, and a mistake is told.
func TestLockedKeys(t *testing.T) {
	c := shared
	const passphrase = "a passphrase of two words"
	root, issuer := issuers(t)
	certificate := issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	next := issuer.Issue(pki.Options{Names: []string{"www.example.com"}})
	keep(t, certificate)
	keep(t, next)
	kept.Lock()
	kept.marks["the passphrase"] = []byte(passphrase)
	kept.Unlock()
	parts := func(certificate pki.Certificate, key, passphrase string) string {
		all := map[string]string{"certificate": certificate.PEM(), "private_key": key, "intermediates": strings.Join(certificate.Intermediates(), "")}
		if passphrase != "" {
			all["private_key_passphrase"] = passphrase
		}
		return c.container(t, "locked", all)
	}
	s := c.populate(t, "e2e-locked", []fields{
		terminated("web", 443, "web", parts(certificate, certificate.Locked(t, passphrase), passphrase)),
	}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	c.presents(t, s.at(443), trusting(root, "www.example.com"), certificate)
	old := parts(next, next.LockedTraditionally(t, passphrase), passphrase)
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"default_tls_container_ref": old})
	c.presents(t, s.at(443), trusting(root, "www.example.com"), next)
	s.allActive(t)

	// The driver-agent gives no answer when it cannot read a certificate: then the controller reads the rest itself, and opens the
	// key. One of the certificates goes.
	taken := issuer.Issue(pki.Options{Names: []string{"lost.example.com"}})
	lost := c.bundle(t, taken)
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"sni_container_refs": []string{lost}})
	c.presents(t, s.at(443), trusting(root, "lost.example.com"), taken)
	before := c.versions(t, s.lb.ID)
	if err := c.unstore(t, lost); err != nil {
		t.Fatal(err)
	}
	s.put(t, "pool", "pools/"+s.id(t, "pool web"), fields{"lb_algorithm": "LEAST_CONNECTIONS"})
	s.allActive(t)
	if log := c.log(t, "controller"); !strings.Contains(log, "reading it from Octavia's API") {
		t.Error("the load balancer was not read from Octavia's API")
	}
	for _, kind := range changed(before, c.versions(t, s.lb.ID)) {
		if kind == "secret" {
			t.Error("a key that the controller opened itself looks like another one")
		}
	}
	c.presents(t, s.at(443), trusting(root, "www.example.com"), next)

	// The user's own mistakes: octavia-api refuses them, and the controller has a sentence where it reads them itself.
	for name, test := range map[string]struct{ ref, want string }{
		"wrong":     {parts(certificate, certificate.Locked(t, passphrase), "another"), "cannot be decrypted with its passphrase"},
		"missing":   {parts(certificate, certificate.Locked(t, passphrase), ""), "is encrypted and there is no passphrase"},
		"expensive": {parts(certificate, certificate.Locked(t, passphrase, "-iter", "2000001"), passphrase), "2000000 are the most that are taken"},
	} {
		if name != "expensive" {
			status, said := c.refusal(t, http.MethodPut, "listeners/"+s.id(t, "listener web"), fields{"listener": fields{"default_tls_container_ref": test.ref}})
			if status/100 == 2 {
				t.Errorf("%s: octavia-api answers %d: %s", name, status, said)
			}
			c.settle(t, s.lb.ID)
		}
		c.readable(t, test.ref)
		if _, err := c.reader().Certificate(t.Context(), test.ref); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), passphrase) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
	c.presents(t, s.at(443), trusting(root, "www.example.com"), next)
	s.allActive(t)
	c.noTraces(t)
}

// readable lets the service user read a container and what it refers to, as octavia-api does for what it takes.
func (c *cloud) readable(t *testing.T, ref string) {
	t.Helper()
	barbican := c.barbican(t)
	user := strings.TrimSpace(c.openstack(t, "user show octavia -f value -c id"))
	var container struct {
		SecretRefs []struct {
			SecretRef string `json:"secret_ref"`
		} `json:"secret_refs"`
	}
	if _, err := barbican.Get(t.Context(), ref, &container, nil); err != nil { //nolint:bodyclose // read by gophercloud
		t.Fatal(err)
	}
	all := []string{ref}
	for _, secret := range container.SecretRefs {
		all = append(all, secret.SecretRef)
	}
	for _, each := range all {
		content := fields{"read": fields{"users": []string{user}}}
		if _, err := barbican.Put(t.Context(), each+"/acl", content, nil, &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}}); err != nil { //nolint:bodyclose // read by gophercloud
			t.Fatal(fmt.Errorf("let the service read %s: %w", each, err))
		}
	}
}
