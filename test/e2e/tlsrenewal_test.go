package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// stapled is the response that a listener staples for a name, nil for none.
func (c *cloud) stapled(t *testing.T, address string, root *pki.Authority, issuer *pki.Authority, name string) (*ocsp.Response, error) {
	t.Helper()
	connection, err := c.handshake(t, address, trusting(root, name))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	der := connection.OCSPResponse()
	if len(der) == 0 {
		return nil, nil //nolint:nilnil // none
	}
	return ocsp.ParseResponseForCert(der, connection.ConnectionState().PeerCertificates[0], issuer.Certificate)
}

// TestStaplesAreRenewed has responses that live for half a minute. Each is replaced before it ends, without any call; then
// the responder fails, and says of one certificate that it is revoked.
func TestStaplesAreRenewed(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	responder := newResponder(t)
	const life = 30 * time.Second
	var mu sync.Mutex
	ends := map[string]time.Time{} // of the last response, by name
	ended := func(name string) bool {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().After(ends[name])
	}
	issue := func(name string, must bool) pki.Certificate {
		certificate := issuer.Issue(pki.Options{Names: []string{name}, OCSPServers: []string{responder.url}, MustStaple: must})
		responder.makes(certificate, func() []byte {
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			ends[name] = now.Add(life).Truncate(time.Second) // as it is written
			return issuer.OCSP(certificate, ocsp.Good, now.Add(-time.Second), ends[name])
		})
		return certificate
	}
	www, must, taken := issue("www.example.com", false), issue("must.example.com", true), issue("taken.example.com", false)
	all := []pki.Certificate{www, must, taken}
	s := c.populate(t, "e2e-ocsp-renewal", []fields{
		terminated("web", 443, "web", c.bundle(t, www), lasting(), fields{"sni_container_refs": []string{c.bundle(t, taken)}}),
	}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	demanding, err := c.create(t, "listener", "listeners", with(terminated("must", 444, "", c.bundle(t, must)), fields{
		"loadbalancer_id": s.lb.ID, "default_pool_id": s.id(t, "pool web"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t, s.lb.ID)
	// It waits for its first response, see TestStapling.
	eventually(t, settleTime, func() error {
		now, err := c.get(t, "listener", "listeners/"+demanding.ID)
		if err == nil && now.ProvisioningStatus != "ACTIVE" {
			err = errors.New(now.ProvisioningStatus)
		}
		return err
	})
	at := func(certificate pki.Certificate) string {
		if certificate.Leaf.Equal(must.Leaf) {
			return s.at(444)
		}
		return s.at(443)
	}
	// newer waits for a response that was made after the moment.
	newer := func(certificate pki.Certificate, than time.Time) *ocsp.Response {
		t.Helper()
		name := certificate.Leaf.Subject.CommonName
		var response *ocsp.Response
		eventually(t, 2*patience, func() error {
			var err error
			if response, err = c.stapled(t, at(certificate), root, issuer, name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if response == nil || !response.ThisUpdate.After(than) {
				return errors.New(name + " has no newer response")
			}
			return nil
		})
		return response
	}
	open := c.keepAlive(t, s.at(443), trusting(root, "www.example.com"))
	open.ask(t, "at first")
	first := map[string]*ocsp.Response{}
	for _, certificate := range all {
		first[certificate.Leaf.Subject.CommonName] = newer(certificate, time.Time{})
	}
	before := c.versions(t, s.lb.ID)
	last := map[string]*ocsp.Response{}
	for _, certificate := range all {
		name := certificate.Leaf.Subject.CommonName
		last[name] = newer(certificate, first[name].ThisUpdate)
	}
	open.ask(t, "after the renewal")
	if got := changed(before, c.versions(t, s.lb.ID)); fmt.Sprint(got) != "[secret]" {
		t.Errorf("the renewal changed %v", got)
	}

	// From now on it fails for two of them.
	times := map[string]int{}
	for _, certificate := range all {
		times[certificate.Leaf.Subject.CommonName] = responder.times(certificate)
		responder.says(certificate, ocsp.TryLaterErrorResponse)
	}
	now := time.Now()
	responder.says(taken, issuer.OCSP(taken, ocsp.Revoked, now.Add(-time.Second), now.Add(24*time.Hour)))
	for _, certificate := range all {
		name := certificate.Leaf.Subject.CommonName
		eventually(t, 2*patience, func() error {
			if responder.times(certificate) == times[name] {
				return errors.New("not asked about " + name)
			}
			return nil
		})
		// One more may have been got just before; and where all is slow, the last one may be out of date by now.
		held, err := c.stapled(t, at(certificate), root, issuer, name)
		if ended(name) {
			t.Logf("%s has none any more", name)
			continue
		}
		if err != nil || held == nil || held.ThisUpdate.Before(last[name].ThisUpdate) || held.Status != ocsp.Good {
			t.Errorf("%s, when its responder fails: %+v, error %v", name, held, err)
		}
	}
	if got := s.stapleState(t, "taken.example.com"); got != "revoked" {
		t.Errorf("its status is %q", got)
	}
	if log := c.log(t, "controller"); !strings.Contains(log, "the certificate is revoked since") {
		t.Error("the log does not say that a certificate is revoked")
	}

	// The last ones end: nothing is stapled, and only who demands it notices.
	for _, certificate := range []pki.Certificate{www, taken} {
		name := certificate.Leaf.Subject.CommonName
		eventually(t, 2*patience, func() error {
			response, err := c.stapled(t, s.at(443), root, issuer, name)
			if err == nil && response != nil {
				err = fmt.Errorf("%s has a response until %s", name, response.NextUpdate)
			}
			return err
		})
	}
	eventually(t, 2*patience, func() error {
		if _, err := c.stapled(t, s.at(444), root, issuer, "must.example.com"); err == nil {
			return errors.New("a certificate that demands a response is shown without one")
		}
		return nil
	})
	if shown := c.sClient(t, s.at(444), "-servername", "must.example.com"); !strings.Contains(shown, "0 s:CN = must.example.com") {
		t.Errorf("a client that does not ask for a response is shown:\n%s", shown)
	}
	if got := s.stapleState(t, "must.example.com"); got != "late" {
		t.Errorf("its status is %q", got)
	}
	open.ask(t, "at last")
	s.look(t)
	s.allActive(t)
}

// stapleState is what the operator is told of a certificate of a name.
func (s *tree) stapleState(t *testing.T, name string) string {
	t.Helper()
	var report api.StatusReport
	answer := s.run(t, s.env["OE_BINARY"], "status", "--json", "--socket", s.env["OE_API_SOCKET"], s.lb.ID)
	if err := json.Unmarshal([]byte(answer), &report); err != nil {
		t.Fatal(err)
	}
	for _, lb := range report.LoadBalancers {
		for _, certificate := range lb.Certificates {
			if strings.Contains(certificate.Subject, name) {
				return certificate.Staple
			}
		}
	}
	t.Fatalf("%s is not in %s", name, answer)
	return ""
}
