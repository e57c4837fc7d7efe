package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// responder answers about certificates as a test likes. It is at the one address of this machine that the controllers of
// test instances may ask: see ocsp.allowed_networks of their configuration.
type responder struct {
	url    string
	server *http.Server
	mu     sync.Mutex
	// answers are by serial number; a certificate that has none is kept waiting.
	answers map[string]func() []byte
	asked   map[string]int
}

const responderAddress = "127.0.0.2:0"

func newResponder(t *testing.T) *responder {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", responderAddress)
	if err != nil {
		t.Fatal(err)
	}
	r := &responder{url: "http://" + listener.Addr().String() + "/ocsp", answers: map[string]func() []byte{}, asked: map[string]int{}}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: patience}
	go func() { _ = r.server.Serve(listener) }()
	t.Cleanup(func() { _ = r.server.Close() })
	return r
}

func (r *responder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	question, err := ocsp.ParseRequest(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	serial := question.SerialNumber.Text(16)
	r.mu.Lock()
	r.asked[serial]++
	r.mu.Unlock()
	for tick := time.NewTicker(50 * time.Millisecond); ; { // as slow as the test wants
		r.mu.Lock()
		answer := r.answers[serial]
		r.mu.Unlock()
		if answer != nil {
			w.Header().Set("Content-Type", "application/ocsp-response")
			_, _ = w.Write(answer())
			return
		}
		select {
		case <-tick.C:
		case <-request.Context().Done():
			return
		}
	}
}

// says sets the answer about a certificate.
func (r *responder) says(certificate pki.Certificate, answer []byte) {
	r.makes(certificate, func() []byte { return answer })
}

// makes sets what makes the answers about a certificate.
func (r *responder) makes(certificate pki.Certificate, answer func() []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[certificate.Leaf.SerialNumber.Text(16)] = answer
}

// times is how often it was asked about a certificate.
func (r *responder) times(certificate pki.Certificate) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[certificate.Leaf.SerialNumber.Text(16)]
}

// staples waits until a few handshakes in a row have the response stapled; nil is none.
func (c *cloud) staples(t *testing.T, address string, config *tls.Config, want []byte) {
	t.Helper()
	eventually(t, patience, func() error {
		for range 6 {
			connection, err := c.handshake(t, address, config)
			if err != nil {
				return err
			}
			got := connection.OCSPResponse()
			_ = connection.Close()
			if string(got) != string(want) {
				return fmt.Errorf("%d bytes are stapled, not %d", len(got), len(want))
			}
		}
		return nil
	})
}

// TestStapling has a responder for a listener's certificates, for one that demands a response, and for one that is revoked.
func TestStapling(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	responder := newResponder(t)
	now := time.Now()
	issue := func(name string, must bool) pki.Certificate {
		return issuer.Issue(pki.Options{Names: []string{name}, RSA: 2048, OCSPServers: []string{responder.url}, MustStaple: must})
	}
	good := issue("www.example.com", false)
	goodResponse := issuer.OCSP(good, ocsp.Good, now.Add(-time.Minute), now.Add(24*time.Hour))
	responder.says(good, goodResponse)
	revoked := issue("revoked.example.com", false)
	responder.says(revoked, issuer.OCSP(revoked, ocsp.Revoked, now.Add(-time.Minute), now.Add(24*time.Hour)))
	wrong := issue("wrong.example.com", false)
	responder.says(wrong, goodResponse) // about another certificate
	s := c.populate(t, "e2e-ocsp", []fields{terminated("web", 443, "web", c.bundle(t, good), fields{
		"sni_container_refs": []string{c.bundle(t, revoked), c.bundle(t, wrong)},
	})}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	client := trusting(root, "www.example.com")
	open := c.keepAlive(t, s.at(443), client)
	open.ask(t, "at first")
	c.staples(t, s.at(443), client, goodResponse)
	open.ask(t, "after the response came")
	if shown := c.sClient(t, s.at(443), "-servername", "www.example.com", "-status"); !strings.Contains(shown, "OCSP Response Status: successful") ||
		!strings.Contains(shown, "Cert Status: good") {
		t.Errorf("openssl s_client shows:\n%s", shown)
	}

	// It goes on for the others, without a staple.
	for _, other := range []pki.Certificate{revoked, wrong} {
		eventually(t, patience, func() error {
			if responder.times(other) == 0 {
				return errors.New("not asked about " + other.Leaf.Subject.CommonName)
			}
			return nil
		})
		c.staples(t, s.at(443), trusting(root, other.Leaf.Subject.CommonName), nil)
	}

	// A certificate that demands a response waits for it, and only its listener does.
	must := issue("must.example.com", true)
	demanding, err := c.create(t, "listener", "listeners", with(terminated("must", 444, "", c.bundle(t, must)), fields{
		"loadbalancer_id": s.lb.ID, "default_pool_id": s.id(t, "pool web"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t, s.lb.ID)
	if now, err := c.get(t, "listener", "listeners/"+demanding.ID); err != nil || now.ProvisioningStatus != "ERROR" {
		t.Errorf("the listener that demands a response is %s, error %v", now.ProvisioningStatus, err)
	}
	if status := c.status(t); !strings.Contains(status, "must-staple") {
		t.Errorf("octavia-envoy status does not say why:\n%s", status)
	}
	c.staples(t, s.at(443), client, goodResponse)
	mustResponse := issuer.OCSP(must, ocsp.Good, now.Add(-time.Minute), now.Add(24*time.Hour))
	responder.says(must, mustResponse)
	eventually(t, settleTime, func() error {
		now, err := c.get(t, "listener", "listeners/"+demanding.ID)
		if err == nil && now.ProvisioningStatus != "ACTIVE" {
			err = errors.New(now.ProvisioningStatus)
		}
		return err
	})
	c.staples(t, s.at(444), trusting(root, "must.example.com"), mustResponse)

	// The responder goes: what it said stays, over changes, too.
	if err := responder.server.Close(); err != nil {
		t.Fatal(err)
	}
	c.mustCreate(t, s.lb.ID, "member", "pools/"+s.id(t, "pool web")+"/members", c.member(2, 80))
	c.staples(t, s.at(443), client, goodResponse)
	c.staples(t, s.at(444), trusting(root, "must.example.com"), mustResponse)
	open.ask(t, "at last")
	s.allActive(t)
}
