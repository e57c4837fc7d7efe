package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/openstack"
	"github.com/octavia-envoy/octavia-envoy/driver/resync"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// tlsService is a load balancer with TLS on both sides, and one client that stays connected to it.
type tlsService struct {
	*tree
	root, issuer *pki.Authority
	certificate  pki.Certificate
	ref, caRef   string
	open         *keptAlive
	// added counts the members that it got.
	added int
}

func (c *cloud) tlsService(t *testing.T, name string) *tlsService {
	t.Helper()
	root, issuer := issuers(t)
	s := &tlsService{root: root, issuer: issuer, certificate: issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})}
	s.ref, s.caRef = c.bundle(t, s.certificate), c.text(t, "people", issuer.PEM())
	s.tree = c.populate(t, name, []fields{terminated("web", 443, "web", s.ref, lasting(), fields{
		"sni_container_refs":    []string{c.bundle(t, issuer.Issue(pki.Options{Names: []string{"sni.example.com"}}))},
		"client_authentication": "OPTIONAL", "client_ca_tls_container_ref": s.caRef, "client_crl_container_ref": c.text(t, "nobody", issuer.CRL()),
	})}, []fields{pool("web", "HTTP", []fields{c.member(1, 80)}), pool("secure", "HTTP", []fields{c.member(1, 443)}, fields{
		"tls_enabled": true, "tls_versions": []string{"TLSv1.2", "TLSv1.3"}, "tls_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256", "alpn_protocols": []string{"http/1.1"},
		"tls_container_ref": c.bundle(t, issuer.Issue(pki.Options{Client: true, Names: []string{"us"}})),
	})})
	s.open = c.keepAlive(t, s.at(443), trusting(root, "www.example.com"))
	s.serves(t, "at first")
	return s
}

// serves checks that old connections and new ones are answered, and by which certificate.
func (s *tlsService) serves(t *testing.T, when string) {
	t.Helper()
	s.open.ask(t, when)
	s.presents(t, s.at(443), trusting(s.root, "www.example.com"), s.certificate)
	response, body := s.ask(t, s.tlsClient(t, trusting(s.root, "www.example.com")), "https://"+s.at(443)+"/")
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s: answered %s: %s", when, response.Status, body)
	}
}

// changes makes a change of the pool, which becomes ACTIVE and takes effect.
func (s *tlsService) changes(t *testing.T, when string) {
	t.Helper()
	path := s.memberPath(t, "web", "member1")
	weight := s.added % 2 // 0 lets nobody in, so that the effect is seen
	s.added++
	s.put(t, "member", path, fields{"weight": weight})
	want := map[int]int{0: http.StatusServiceUnavailable, 1: http.StatusOK}[weight]
	client := s.tlsClient(t, trusting(s.root, "www.example.com"))
	eventually(t, patience, func() error {
		for range 6 {
			response, _, err := tryAsk(t, client, "https://"+s.at(443)+"/")
			if err != nil {
				return err
			}
			if response.StatusCode != want {
				return fmt.Errorf("%s: weight %d is answered %s", when, weight, response.Status)
			}
		}
		return nil
	})
	if weight == 0 {
		s.changes(t, when)
		return
	}
	s.allActive(t)
}

// TestTLSOverRestarts restarts the controller: listeners with TLS go on, Envoys are sent nothing, and all keys and responses come out of
// the database, where keys are sealed.
func TestTLSOverRestarts(t *testing.T) {
	c := shared
	s := c.tlsService(t, "e2e-tls-restart")
	responder, now := newResponder(t), time.Now()
	s.certificate = s.issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048, OCSPServers: []string{responder.url}})
	stapled := s.issuer.OCSP(s.certificate, ocsp.Good, now.Add(-time.Minute), now.Add(24*time.Hour))
	responder.says(s.certificate, stapled)
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"default_tls_container_ref": c.bundle(t, s.certificate)})
	c.staples(t, s.at(443), trusting(s.root, "www.example.com"), stapled)
	if err := responder.server.Close(); err != nil {
		t.Fatal(err)
	}
	before, pushed := c.versions(t, s.lb.ID), s.pushed(t)
	c.restartController(t)
	s.serves(t, "after the restart")
	s.connected(t)
	if got := changed(before, c.versions(t, s.lb.ID)); len(got) > 0 {
		t.Errorf("the restart changed %v", got)
	}
	if after := s.pushed(t); after != pushed {
		t.Errorf("Envoy took updates: before %s, after %s", pushed, after)
	}
	s.changes(t, "after the restart")
	if got := changed(before, c.versions(t, s.lb.ID)); len(got) != 0 && fmt.Sprint(got) != "[endpoints]" {
		t.Errorf("the change of a member changed %v", got)
	}
	s.serves(t, "after a change")
	c.staples(t, s.at(443), trusting(s.root, "www.example.com"), stapled)
	// What the store keeps of keys is in the database, and found by noTraces if it was in clear.
	database, err := os.ReadFile(c.env["OE_STORE"])
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(c.env["OE_STORE"] + "-wal")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if !strings.Contains(string(database)+string(log), s.lb.ID) {
		t.Error("the database is not where it is looked for")
	}
	c.noTraces(t)
}

// connected waits until the load balancer's Envoys are back.
func (s *tlsService) connected(t *testing.T) {
	t.Helper()
	eventually(t, patience, func() error {
		for name, version := range s.versions(t, s.lb.ID) {
			if version == "" {
				return errors.New(name + " is not acknowledged")
			}
		}
		return nil
	})
}

// pushed counts what the load balancer's Envoy took: a restart of the controller must not add to it.
func (s *tlsService) pushed(t *testing.T) string {
	t.Helper()
	var all []string
	for _, amphora := range s.amphorae(t, s.lb.ID) {
		answer, err := s.admin(t, amphora).Do(t.Context(), http.MethodGet, "/stats?filter=(lds|cds|rds|sds).*update_success")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(answer))
	}
	if len(all) == 0 || !strings.Contains(all[0], "update_success") {
		t.Fatalf("no counters: %v", all)
	}
	return strings.Join(all, "\n")
}

// admin asks the Envoy of an amphora.
func (c *cloud) admin(t *testing.T, amphora string) *envoyadmin.Client {
	t.Helper()
	sockets, err := filepath.Glob(filepath.Join(c.env["OE_AMPHORAE_RUN"], "*", "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, socket := range sockets {
		if folder := filepath.Base(filepath.Dir(socket)); strings.HasPrefix(amphora, folder) || strings.HasPrefix(folder, amphora) {
			return envoyadmin.New(socket)
		}
	}
	t.Fatalf("no socket of amphora %s in %v", amphora, sockets)
	return nil
}

// TestBarbicanAway stops Barbican: what runs goes on, can be changed, and comes over a restart of the controller.
func TestBarbicanAway(t *testing.T) {
	c := shared
	s := c.tlsService(t, "e2e-barbican-away")
	before := c.versions(t, s.lb.ID)
	next := s.issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	nextRef := c.bundle(t, next)
	c.service(t, "stop", "barbican")
	back := false
	start := func() {
		if !back {
			back = true
			c.service(t, "start", "barbican")
		}
	}
	defer start() // before the clean-ups, which delete secrets
	s.serves(t, "without Barbican")
	s.changes(t, "without Barbican")
	if log := c.log(t, "controller"); !strings.Contains(log, "reading it from Octavia's API") {
		t.Error("the load balancer was not read from Octavia's API")
	}
	c.restartController(t)
	s.serves(t, "without Barbican, after a restart")
	s.changes(t, "without Barbican, after a restart")
	s.connected(t)
	if got := changed(before, c.versions(t, s.lb.ID)); len(got) != 0 && fmt.Sprint(got) != "[endpoints]" {
		t.Errorf("the outage changed %v", got)
	}
	// Octavia's API looks at new certificates itself, and refuses those.
	if status, said := c.refusal(t, http.MethodPut, "listeners/"+s.id(t, "listener web"),
		fields{"listener": fields{"default_tls_container_ref": nextRef}}); status/100 == 2 {
		t.Errorf("a new certificate is answered %d: %s", status, said)
	}
	c.settle(t, s.lb.ID)
	s.serves(t, "after a refusal")
	start()
	s.changes(t, "with Barbican again")
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"default_tls_container_ref": nextRef})
	s.certificate = next
	s.serves(t, "with a new certificate")
	s.allActive(t)
	c.noTraces(t)
}

// TestSecretsGone takes from the service the right to read a secret, and deletes it, while a listener has it.
func TestSecretsGone(t *testing.T) {
	c := shared
	s := c.tlsService(t, "e2e-secrets-gone")
	before := c.versions(t, s.lb.ID)
	for _, taken := range []string{s.ref + "/acl", s.ref, s.caRef} {
		if err := c.unstore(t, taken); err != nil {
			t.Fatal(err)
		}
		s.changes(t, "without "+taken)
		s.serves(t, "without "+taken)
	}
	c.restartController(t)
	s.serves(t, "after a restart")
	s.changes(t, "after a restart")
	s.connected(t)
	if got := changed(before, c.versions(t, s.lb.ID)); len(got) != 0 && fmt.Sprint(got) != "[endpoints]" {
		t.Errorf("that secrets went changed %v", got)
	}
	if log := c.log(t, "controller"); !strings.Contains(log, "going on with what was read before") {
		t.Error("the controller's log does not say so")
	}
	// The user gives it something new.
	s.certificate = s.issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{
		"default_tls_container_ref": c.bundle(t, s.certificate), "client_ca_tls_container_ref": c.text(t, "people", s.issuer.PEM()),
	})
	s.serves(t, "with a new certificate")
	s.allActive(t)
}

// TestTreeFromAPI reads a load balancer that has everything from both of Octavia's interfaces.
func TestTreeFromAPI(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.tlsService(t, "e2e-tree")
	listener := s.id(t, "listener web")
	s.put(t, "listener", "listeners/"+listener, fields{
		"description": "d", "connection_limit": 100, "timeout_client_data": 1000, "allowed_cidrs": []string{"203.0.113.0/24"},
		"tls_versions": []string{"TLSv1.2", "TLSv1.3"}, "hsts_max_age": 60, "hsts_preload": true, "tags": []string{"a", "b"},
	})
	elsewhere := c.mustCreate(t, s.lb.ID, "l7policy", "l7policies", fields{
		"listener_id": listener, "name": "go", "action": "REDIRECT_TO_POOL", "redirect_pool_id": s.id(t, "pool secure"), "position": 1,
	})
	away := c.mustCreate(t, s.lb.ID, "l7policy", "l7policies", fields{
		"listener_id": listener, "name": "away", "action": "REDIRECT_TO_URL", "redirect_url": "http://away.example.com/", "redirect_http_code": 303,
		"position": 2, "admin_state_up": false,
	})
	c.mustCreate(t, s.lb.ID, "rule", "l7policies/"+elsewhere.ID+"/rules", fields{
		"type": "PATH", "compare_type": "STARTS_WITH", "value": "/a", "invert": true, "tags": []string{"x"},
	})
	c.mustCreate(t, s.lb.ID, "rule", "l7policies/"+away.ID+"/rules", fields{"type": "HEADER", "compare_type": "EQUAL_TO", "key": "X-A", "value": "b"})
	s.do(t, http.MethodPut, "pools/"+s.id(t, "pool web"), fields{"pool": fields{
		"session_persistence": fields{"type": "APP_COOKIE", "cookie_name": "c"}, "lb_algorithm": "LEAST_CONNECTIONS",
	}})
	c.mustCreate(t, s.lb.ID, "member", "pools/"+s.id(t, "pool web")+"/members", c.member(2, 80, fields{
		"weight": 7, "backup": true, "monitor_address": "203.0.113.22", "monitor_port": 81, "tags": []string{"m"},
	}))
	c.mustCreate(t, s.lb.ID, "listener", "listeners", fields{
		"loadbalancer_id": s.lb.ID, "name": "udp", "protocol": "UDP", "protocol_port": 53, "admin_state_up": false,
	})

	agent := &status.Agent{GetSocket: c.env["OE_GET_SOCKET"]}
	fromAgent, err := agent.LoadBalancer(t.Context(), s.lb.ID)
	if err != nil {
		t.Fatal(err)
	}
	fromAPI, err := c.treeFromAPI(t, s.lb.ID)
	if err != nil {
		t.Fatal(err)
	}
	// No list is an empty one.
	if diff := cmp.Diff(asMap(t, fromAgent), asMap(t, fromAPI), noneIsEmpty()); diff != "" {
		t.Errorf("the driver-agent's tree (-) and that of the API (+) differ:\n%s", diff)
	}
	places := fromAPI.Secrets()
	if len(places) < 5 {
		t.Errorf("there are only %d references", len(places))
	}
	for _, place := range places {
		if !place.Missing() {
			t.Errorf("the API gives %s away", place.Name())
		}
	}
	if _, err := c.treeFromAPI(t, "00000000-0000-4000-8000-000000000000"); !errors.Is(err, status.ErrGone) {
		t.Errorf("a load balancer that is not there: %v", err)
	}
}

// treeFromAPI reads a load balancer as the controller does when the driver-agent cannot.
func (c *cloud) treeFromAPI(t *testing.T, id string) (*model.LoadBalancer, error) {
	t.Helper()
	configuration, err := config.Load(c.env["OE_CONFIG"], func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		t.Fatal(err)
	}
	options := configuration.OpenStack
	client := openstack.New(openstack.Credentials{
		AuthURL: options.AuthURL, Username: options.Username, PasswordFile: options.PasswordFile, ProjectName: options.ProjectName,
		UserDomainName: options.UserDomainName, ProjectDomainName: options.ProjectDomainName, Region: options.RegionName,
	})
	return resync.NewAPI(client.LoadBalancer, configuration.Octavia.ProviderName).Tree(t.Context(), id)
}

// noneIsEmpty takes a list that is missing for one without anything in it.
func noneIsEmpty() cmp.Option {
	empty := func(v any) bool {
		list, ok := v.([]any)
		return v == nil || ok && len(list) == 0
	}
	return cmp.FilterValues(func(a, b any) bool { return empty(a) && empty(b) }, cmp.Comparer(func(_, _ any) bool { return true }))
}

// asMap is a tree as it is stored, but for its certificates, which only one of the interfaces has.
func asMap(t *testing.T, tree *model.LoadBalancer) map[string]any {
	t.Helper()
	for _, place := range tree.Secrets() {
		place.SetCertificate(nil)
		place.SetPEM("")
	}
	encoded, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(encoded, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNoKeyIsSeen looks for keys in what everybody is shown who may look.
func TestNoKeyIsSeen(t *testing.T) {
	c := shared
	s := c.tlsService(t, "e2e-traces")
	answer, err := c.csds(t).FetchClientStatus(t.Context(), &statusv3.ClientStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := protojson.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"CSDS": string(encoded), "CSDS, as text": answer.String()} {
		if traces := found([]byte(content)); len(traces) > 0 {
			t.Errorf("%s shows %v", name, traces)
		}
		if !strings.Contains(content, s.id(t, "listener web")+"/default") {
			t.Errorf("%s does not show that there is a secret", name)
		}
	}
	for _, amphora := range c.amphorae(t, s.lb.ID) {
		for _, path := range []string{"/config_dump", "/config_dump?include_eds", "/certs", "/stats", "/clusters"} {
			dump, err := c.admin(t, amphora).Do(context.WithoutCancel(t.Context()), http.MethodGet, path)
			if err != nil {
				t.Fatal(err)
			}
			if traces := found(dump); len(traces) > 0 {
				t.Errorf("Envoy's %s shows %v", path, traces)
			}
		}
	}
	c.noTraces(t)
}
