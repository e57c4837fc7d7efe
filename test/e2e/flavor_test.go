package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// loadbalancerCLI runs the CLI with words that may have spaces in them, and returns what it prints, its errors too.
func (c *cloud) loadbalancerCLI(t *testing.T, words ...string) (string, error) {
	t.Helper()
	stdout, stderr, err := c.try(t, c.env["OPENSTACK"], append([]string{"loadbalancer"}, words...)...)
	return strings.TrimSpace(stdout + stderr), err
}

// flavor makes a profile and a flavor of a name, and returns the flavor's id. The test's end deletes both.
func (c *cloud) flavor(t *testing.T, name, data string) string {
	t.Helper()
	profile, err := c.create(t, "flavorprofile", "flavorprofiles", fields{"name": name, "provider_name": "envoy", "flavor_data": data})
	if err != nil {
		t.Fatalf("create the profile %s: %v", name, err)
	}
	made, err := c.create(t, "flavor", "flavors", fields{"name": name, "flavor_profile_id": profile.ID, "enabled": true})
	if err != nil {
		t.Fatalf("create the flavor %s: %v", name, err)
	}
	t.Cleanup(func() { c.deleteFlavor(t, name) })
	return made.ID
}

// deleteFlavor deletes the flavors and profiles of a name.
func (c *cloud) deleteFlavor(t *testing.T, name string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // a test's context has ended when its clean-ups run
	for _, collection := range []string{"flavors", "flavorprofiles"} {
		var answer map[string][]object
		if err := c.request(ctx, http.MethodGet, collection+"?fields=id&name="+name, nil, &answer); err != nil {
			t.Errorf("list %s: %v", collection, err)
		}
		for _, made := range answer[collection] {
			if err := c.request(ctx, http.MethodDelete, collection+"/"+made.ID, nil, nil); err != nil {
				t.Errorf("delete %s %s: %v", collection, name, err)
			}
		}
	}
}

// TestFlavor makes a profile, a flavor and a load balancer as an administrator and a user do, and sees in real traffic what
// the flavor asks for.
func TestFlavor(t *testing.T) {
	c := shared
	const name = "e2e-web"
	t.Cleanup(func() { c.deleteFlavor(t, name) })
	for _, words := range [][]string{
		{"flavorprofile", "create", "--name", name, "--provider", "envoy", "--flavor-data", `{
			"compression": {"algorithms": ["zstd", "gzip"], "min_length": 100},
			"request_id": "replace",
			"retries": {"retry_on": ["5xx"], "attempts": 1}
		}`},
		{"flavor", "create", "--name", name, "--flavorprofile", name, "--enable"},
		{"create", "--name", "e2e-flavor", "--vip-subnet-id", "public-subnet", "--flavor", name},
	} {
		if said, err := c.loadbalancerCLI(t, words...); err != nil {
			t.Fatalf("%v: %v\n%s", words, err, said)
		}
	}
	lb := c.list(t, "loadbalancers?name=e2e-flavor")[0]
	t.Cleanup(func() { c.cleanUp(t, lb.ID) })
	lb = c.settle(t, lb.ID)
	web := c.mustCreate(t, lb.ID, "pool", "pools", fields{"loadbalancer_id": lb.ID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	c.mustCreate(t, lb.ID, "member", "pools/"+web.ID+"/members", c.member(1, 80))
	c.mustCreate(t, lb.ID, "listener", "listeners", fields{
		"loadbalancer_id": lb.ID, "protocol": "HTTP", "protocol_port": 80, "default_pool_id": web.ID,
	})
	client, address := c.client(t), lb.VIPAddress+":80"
	base := "http://" + address
	c.answers(t, address, "/", "200 member1")

	asSent := c.asSeen(t, client, base, header("X-Request-Id", "the client's own"))
	id := asSent.Headers.Get("X-Request-Id")
	if len(id) != len("00000000-0000-0000-0000-000000000000") {
		t.Errorf("the member saw the X-Request-Id %q", id)
	}
	for accepted, want := range map[string]string{"gzip": "gzip", "zstd": "zstd", "gzip, zstd": "zstd", "br": "", "identity": ""} {
		response, body := c.ask(t, client, base+"/request", header("Accept-Encoding", accepted))
		if got := response.Header.Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q is answered with Content-Encoding %q, not %q", accepted, got, want)
		}
		if plain := strings.HasPrefix(body, "{"); plain != (want == "") {
			t.Errorf("Accept-Encoding %q is answered with the body %.20q", accepted, body)
		}
		if response.Header.Get("X-Request-Id") == "" {
			t.Errorf("the answer has no X-Request-Id: %v", response.Header)
		}
	}
	if response, _ := c.ask(t, client, base+"/", header("Accept-Encoding", "gzip")); response.Header.Get("Content-Encoding") != "" {
		t.Errorf("an answer below min_length is compressed: %v", response.Header)
	}

	// A load balancer without the flavor does none of it.
	plain := c.populate(t, "e2e-no-flavor", []fields{listener("web", "HTTP", 80, "web")}, []fields{pool("web", "HTTP", c.members(80))})
	base = "http://" + plain.at(80)
	response, _ := c.ask(t, client, base+"/request", header("Accept-Encoding", "gzip"))
	if response.Header.Get("Content-Encoding") != "" || response.Header.Get("X-Request-Id") != "" {
		t.Errorf("without a flavor the answer has %v", response.Header)
	}
	if got := c.asSeen(t, client, base, header("X-Request-Id", "mine")).Headers.Get("X-Request-Id"); got != "mine" {
		t.Errorf("without a flavor the member saw the X-Request-Id %q", got)
	}
}

// TestFlavorGRPC has an HTTP listener with members of gRPC, which speak HTTP/2 only: requests of one connection are spread
// over both.
func TestFlavorGRPC(t *testing.T) {
	c := shared
	s := c.populate(t, "e2e-flavor-grpc", []fields{listener("grpc", "HTTP", 80, "grpc")}, []fields{pool("grpc", "HTTP", c.members(50051))},
		fields{"flavor_id": c.flavor(t, "e2e-grpc", `{"member_http": {"version": "2"}}`)})
	client, met := c.grpcClient(t, s.at(80)), map[string]int{}
	for range 10 {
		met[healthOf(t, client)]++
	}
	if met["member1"] == 0 || met["member2"] == 0 {
		t.Errorf("10 requests over one connection: %v", met)
	}
}

// createProfiles runs the script. Each of its commands is a Python program, which may start slowly: its limit is that of the test.
func (c *cloud) createProfiles(t *testing.T) string {
	t.Helper()
	script := exec.CommandContext(t.Context(), "../../driver/flavor/profiles/create.sh")
	script.Env = os.Environ()
	for key, value := range c.env {
		script.Env = append(script.Env, key+"="+value)
	}
	said, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return string(said)
}

// TestFlavorProfiles runs the script that makes the profiles that ship, twice, and makes a load balancer with each, in clear and
// with TLS.
func TestFlavorProfiles(t *testing.T) {
	c := shared
	names := []string{"high-throughput", "low-latency", "tls-offload"}
	root, issuer := issuers(t)
	certificate := c.bundle(t, issuer.Issue(pki.Options{Names: []string{"www.example.com"}}))
	t.Cleanup(func() {
		for _, name := range names {
			c.deleteFlavor(t, name)
		}
	})
	for _, run := range []string{"created", "is there"} {
		said := c.createProfiles(t)
		for _, name := range names {
			if want := fmt.Sprintf("flavor profile %[1]s: %[2]s\nflavor %[1]s: %[2]s\n", name, run); !strings.Contains(said, want) {
				t.Errorf("no %q in:\n%s", want, said)
			}
		}
	}
	for _, flavor := range c.list(t, "flavors") {
		name := flavor.Name
		if !strings.Contains(strings.Join(names, " "), name) {
			continue
		}
		s := c.populate(t, "e2e-"+name, []fields{listener("web", "HTTP", 80, "web"), terminated("secure", 443, "web", certificate)},
			[]fields{pool("web", "HTTP", c.members(80))}, fields{"flavor_id": flavor.ID})
		if got := c.spread(t, s.at(80), 10); got["member1"] == 0 || got["member2"] == 0 {
			t.Errorf("%s: 10 requests met %v", name, got)
		}
		config := trusting(root, "www.example.com")
		config.NextProtos = []string{"h2"}
		if response, body := c.ask(t, c.tlsClient(t, config), "https://"+s.at(443)+"/"); response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
			t.Errorf("%s, by TLS: %s %s: %s", name, response.Proto, response.Status, body)
		}
	}
}

// TestFlavorRefused has what an operator reads whose flavor data is wrong: always 501 with a sentence, and no profile.
func TestFlavorRefused(t *testing.T) {
	c := shared
	const name = "e2e-refused-flavor"
	t.Cleanup(func() { c.deleteFlavor(t, name) })
	said, err := c.loadbalancerCLI(t, "flavorprofile", "create", "--name", name, "--provider", "envoy",
		"--flavor-data", `{"retries": {"retry_on": ["5xx"], "attempts": "3"}, "gzip": true}`)
	const onCLI = "Provider 'envoy' does not support a requested option: flavor.gzip is unknown. flavor has the keys access_log, " +
		"buffer_bytes, circuit_breaking, client_http, compression, http3, loadbalancer_topology, member_http, outlier_detection, request_id, " +
		"retries, slow_start and tcp_keepalive. flavor.retries.attempts must be a whole number between 1 and 10, not \"3\". (HTTP 501)"
	if err == nil || !strings.Contains(said, onCLI) {
		t.Errorf("got  %s\nwant %s", said, onCLI)
	}
	for data, want := range map[string]string{
		`{"retry": {}}`:     "flavor.retry is unknown; did you mean retries? flavor has the keys access_log, buffer_bytes, ",
		`{"slow_start":{}}`: "flavor.slow_start.window_ms is missing; it must be a whole number between 1000 and 3600000.",
		`{"member_http": {"max_concurrent_streams": 10}}`: `flavor.member_http.max_concurrent_streams is for HTTP/2: set member_http.version to "2" or leave it out.`,
		`{"loadbalancer_topology": "ACTIVE_STANDBY"}`:     "The topology ACTIVE_STANDBY is not supported yet; use a flavor with loadbalancer_topology SINGLE.",
		`{"sriov_vip": true}`:                             "flavor.sriov_vip is not supported, as VIP ports are not SR-IOV ports; leave it out.",
		`["SINGLE"]`:                                      "The metadata must be a JSON object, not an array.",
		`null`:                                            "The metadata must be a JSON object, not null.",
		`7`:                                               "The metadata must be a JSON object, not a number.",
		`{"buffer_bytes": NaN}`:                           "",
	} {
		status, said := c.refusal(t, http.MethodPost, "flavorprofiles", fields{
			"flavorprofile": fields{"name": name, "provider_name": "envoy", "flavor_data": data},
		})
		said = strings.ReplaceAll(said, `\"`, `"`)
		if status != http.StatusNotImplemented || !strings.Contains(said, "Provider 'envoy' does not support a requested option: "+want) {
			t.Errorf("%s:\ngot  %d %s\nwant 501 %s", data, status, said, want)
		}
	}
	if left := c.list(t, "flavorprofiles?name="+name); len(left) > 0 {
		t.Errorf("profiles are left: %v", left)
	}
	said, err = c.loadbalancerCLI(t, "provider", "capability", "list", "envoy", "--flavor", "-f", "value", "-c", "name")
	if err != nil || !strings.Contains(said, "loadbalancer_topology") || !strings.Contains(said, "compression") {
		t.Errorf("capabilities: %s, error %v", said, err)
	}
}
