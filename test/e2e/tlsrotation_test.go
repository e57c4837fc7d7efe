package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// kept alive is a connection over which requests are sent one after the other.
type keptAlive struct {
	*tls.Conn
	answers *bufio.Reader
}

// keepAlive opens a connection by HTTP/1.1; the test's end closes it.
func (c *cloud) keepAlive(t *testing.T, address string, config *tls.Config) *keptAlive {
	t.Helper()
	connection, err := c.handshake(t, address, config)
	if err != nil {
		t.Fatal(err)
	}
	return &keptAlive{connection, bufio.NewReader(connection)}
}

// ask sends a request over the open connection.
func (k *keptAlive) ask(t *testing.T, when string) {
	t.Helper()
	if _, err := fmt.Fprintf(k, "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	response, err := http.ReadResponse(k.answers, nil)
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Close {
		t.Fatalf("%s: answered %s, to be closed %t: %s, error %v", when, response.Status, response.Close, body, err)
	}
}

// versions are those of all resources that the load balancer's Envoys have acknowledged, by type and name.
func (c *cloud) versions(t *testing.T, id string) map[string]string {
	t.Helper()
	var report api.StatusReport
	answer := c.run(t, c.env["OE_BINARY"], "status", "--json", "--socket", c.env["OE_API_SOCKET"], id)
	if err := json.Unmarshal([]byte(answer), &report); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, lb := range report.LoadBalancers {
		for _, amphora := range lb.Amphorae {
			for _, resource := range amphora.Resources {
				all[amphora.ID+" "+resource.Type+" "+resource.Name] = resource.Acknowledged
			}
		}
	}
	if len(all) == 0 {
		t.Fatalf("load balancer %s has no resources:\n%s", id, answer)
	}
	return all
}

// changed are the types of the resources that differ, each once for a resource.
func changed(before, after map[string]string) []string {
	var all []string
	for _, names := range []map[string]string{before, after} {
		for name := range names {
			if before[name] == after[name] {
				continue
			}
			if _, both := before[name]; both || names[name] == after[name] {
				all = append(all, strings.Fields(name)[1])
			}
		}
	}
	return unique(all)
}

func unique(all []string) []string {
	seen := map[string]bool{}
	var once []string
	for _, item := range all {
		if !seen[item] {
			seen[item] = true
			once = append(once, item)
		}
	}
	return once
}

// TestRotation gives a listener new certificates, one after the other, while clients are connected.
func TestRotation(t *testing.T) {
	t.Parallel()
	c := shared
	root, issuer := issuers(t)
	old := issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	sni := issuer.Issue(pki.Options{Names: []string{"sni.example.com"}})
	s := c.populate(t, "e2e-rotation", []fields{terminated("web", 443, "web", c.bundle(t, old), lasting(), fields{
		"sni_container_refs": []string{c.bundle(t, sni)},
	})}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	client := trusting(root, "www.example.com")
	open := c.keepAlive(t, s.at(443), client)
	open.ask(t, "at first")
	before := c.versions(t, s.lb.ID)
	fresh := issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	s.cli(t, "loadbalancer listener set --default-tls-container-ref "+c.bundle(t, fresh)+" [listener web]")
	c.presents(t, s.at(443), client, fresh)
	open.ask(t, "after the rotation")
	freshSNI := issuer.Issue(pki.Options{Names: []string{"sni.example.com"}})
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"sni_container_refs": []string{c.bundle(t, freshSNI)}})
	c.presents(t, s.at(443), trusting(root, "sni.example.com"), freshSNI)
	c.presents(t, s.at(443), client, fresh)
	open.ask(t, "after the rotation of the other")
	if got := changed(before, c.versions(t, s.lb.ID)); fmt.Sprint(got) != "[secret]" {
		t.Errorf("the rotations changed %v", got)
	}
	// A key of another kind may change who needs a filter chain of its own (see translate.filterChains), and not this one.
	fresh = issuer.Issue(pki.Options{Names: []string{"www.example.com"}})
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"default_tls_container_ref": c.bundle(t, fresh)})
	c.presents(t, s.at(443), client, fresh)
	open.ask(t, "after the rotation to another kind of key")
	// What cannot be used is refused, and changes nothing.
	stranger := issuer.Issue(pki.Options{Names: []string{"www.example.com"}})
	broken := c.container(t, "broken", map[string]string{"certificate": fresh.PEM(), "private_key": stranger.KeyPEM()})
	keep(t, stranger)
	status, said := c.refusal(t, http.MethodPut, "listeners/"+s.id(t, "listener web"), fields{"listener": fields{"default_tls_container_ref": broken}})
	if status != http.StatusBadRequest || !strings.Contains(said, "Could not retrieve certificate") { // Octavia's own words
		t.Errorf("a certificate with another's key is answered %d: %s", status, said)
	}
	c.settle(t, s.lb.ID)
	c.presents(t, s.at(443), client, fresh)
	open.ask(t, "after the refusal")
	if number := open.ConnectionState().PeerCertificates[0].SerialNumber; number.Cmp(old.Leaf.SerialNumber) != 0 {
		t.Errorf("the open connection has certificate %x", number)
	}
	s.allActive(t)
}
