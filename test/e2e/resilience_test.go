package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	_ "modernc.org/sqlite" // locks the controller's database
)

// service of HTTP with two members, the subject of most failures.
type webService struct {
	lb, listener, pool, member object
	address                    string
}

func (c *cloud) webService(t *testing.T, name string) webService {
	t.Helper()
	s := webService{lb: c.loadBalancer(t, name)}
	s.address = s.lb.VIPAddress + ":80"
	s.listener = c.mustCreate(t, s.lb.ID, "listener", "listeners", map[string]any{
		"loadbalancer_id": s.lb.ID, "protocol": "HTTP", "protocol_port": 80,
	})
	s.pool = c.mustCreate(t, s.lb.ID, "pool", "pools", map[string]any{
		"listener_id": s.listener.ID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
	})
	s.member = c.mustCreate(t, s.lb.ID, "member", "pools/"+s.pool.ID+"/members", map[string]any{
		"address": c.env["OE_MEMBER1_ADDRESS"], "protocol_port": 80,
	})
	c.serves(t, s.address)
	return s
}

// TestControllerKilled kills the controller at random moments around a call. Whatever the call answered, afterwards every
// object is ACTIVE or gone.
func TestControllerKilled(t *testing.T) {
	c := shared
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := c.webService(t, "e2e-killed")
	for round := range 20 {
		change, what := c.randomChange(t, random, s)
		answered := make(chan error, 1)
		go func() { answered <- change(t.Context()) }()
		time.Sleep(time.Duration(random.IntN(700)) * time.Millisecond) // the random moment, not a synchronisation
		c.restartController(t)
		err := <-answered
		if err != nil && !refusedByFailure(err) {
			t.Fatalf("round %d, %s: %v", round, what, err)
		}
		t.Logf("round %d: %s, killed: %v", round, what, err)
		c.settle(t, s.lb.ID)
		c.noneStuck(t)
	}
	c.serves(t, s.address)
	c.noOrphanPorts(t)
}

// noOrphanPorts waits until every VIP port in Neutron belongs to a load balancer: a controller that dies between making a
// port and accepting its load balancer leaves one, which it collects when it is old enough.
func (c *cloud) noOrphanPorts(t *testing.T) {
	t.Helper()
	eventually(t, 5*time.Minute, func() error {
		if left := c.orphanPorts(t); len(left) > 0 {
			return fmt.Errorf("VIP ports are left: %v", left)
		}
		return nil
	})
}

// orphanPorts lists the VIP ports in Neutron whose load balancer Octavia does not know.
func (c *cloud) orphanPorts(t *testing.T) []string {
	t.Helper()
	known := map[string]bool{}
	for _, lb := range c.list(t, "loadbalancers") {
		known["lb-"+lb.ID] = true
	}
	var answer struct {
		Ports []struct {
			ID       string
			DeviceID string `json:"device_id"`
		}
	}
	_, err := c.network.Get(t.Context(), c.network.ServiceURL("ports")+"?device_owner=Octavia", &answer, nil) //nolint:bodyclose // read by gophercloud
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, port := range answer.Ports {
		if !known[port.DeviceID] {
			left = append(left, port.ID+" of "+port.DeviceID)
		}
	}
	slices.Sort(left)
	return left
}

// TestControllerAway has Octavia ask a controller that is not there.
func TestControllerAway(t *testing.T) {
	c := shared
	c.service(t, "stop", "controller")
	t.Cleanup(func() { c.service(t, "start", "controller") })
	before := c.orphanPorts(t) // of another test; without a controller nobody collects them
	_, stderr, err := c.try(t, c.env["OPENSTACK"], "loadbalancer", "create", "--name", "e2e-away",
		"--vip-subnet-id", "public-subnet")
	if err == nil {
		t.Error("a load balancer was accepted without a controller")
	}
	for _, want := range []string{"HTTP 500", "The load balancing controller cannot be reached, so nothing was changed."} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in: %s", want, stderr)
		}
	}
	for _, lb := range c.list(t, "loadbalancers") {
		if lb.Name == "e2e-away" {
			t.Errorf("left in Octavia: %+v", lb)
		}
	}
	if after := c.orphanPorts(t); !slices.Equal(before, after) {
		t.Errorf("VIP ports without a load balancer were %v, are %v", before, after)
	}
}

// refusedByFailure says whether Octavia refused a call because its driver was away; nothing may be left of such a call.
func refusedByFailure(err error) bool {
	return gophercloud.ResponseCodeIs(err, http.StatusInternalServerError)
}

// randomChange picks a call and returns what sends it.
func (c *cloud) randomChange(t *testing.T, random *rand.Rand, s webService) (func(context.Context) error, string) {
	t.Helper()
	// Octavia lists by the second of creation, so any place in the list may hold the member that serves.
	spare := slices.DeleteFunc(c.list(t, "pools/"+s.pool.ID+"/members"), func(member object) bool { return member.ID == s.member.ID })
	listeners := c.list(t, "listeners?loadbalancer_id="+s.lb.ID)
	send := func(method, path string, body any) func(context.Context) error {
		return func(ctx context.Context) error { return c.request(ctx, method, path, body, nil) }
	}
	switch choice := random.IntN(6); {
	case choice == 0 && len(spare) > 0:
		return send(http.MethodDelete, "pools/"+s.pool.ID+"/members/"+spare[0].ID, nil), "delete a member"
	case choice <= 1:
		address := fmt.Sprintf("203.0.113.%d", 30+random.IntN(10))
		return send(http.MethodPost, "pools/"+s.pool.ID+"/members", map[string]any{"member": map[string]any{
			"address": address, "protocol_port": 1000 + random.IntN(60000), "weight": 0,
		}}), "create a member"
	case choice == 2:
		return send(http.MethodPut, "pools/"+s.pool.ID+"/members/"+s.member.ID, map[string]any{"member": map[string]any{
			"weight": 1 + random.IntN(100),
		}}), "weigh a member"
	case choice == 3 && len(listeners) > 1:
		for _, listener := range listeners {
			if listener.ID != s.listener.ID {
				return send(http.MethodDelete, "listeners/"+listener.ID, nil), "delete a listener"
			}
		}
	case choice == 4:
		return send(http.MethodPost, "loadbalancers", map[string]any{"loadbalancer": map[string]any{
			"name": "e2e-killed-more", "vip_subnet_id": c.subnet,
		}}), "create a load balancer"
	}
	return send(http.MethodPost, "listeners", map[string]any{"listener": map[string]any{
		"loadbalancer_id": s.lb.ID, "protocol": "TCP", "protocol_port": 1000 + random.IntN(60000),
	}}), "create a listener"
}

// noneStuck checks every object in Octavia, and deletes the load balancers that randomChange made.
func (c *cloud) noneStuck(t *testing.T) {
	t.Helper()
	for _, lb := range c.list(t, "loadbalancers") {
		if lb := c.await(t, lb.ID); lb.ProvisioningStatus != "ACTIVE" {
			t.Errorf("load balancer %s (%s) is %s\n%s", lb.Name, lb.ID, lb.ProvisioningStatus, c.status(t))
		}
		for _, collection := range []string{"listeners", "pools"} {
			for _, child := range c.list(t, collection+"?loadbalancer_id="+lb.ID) {
				c.mustBeActive(t, collection, child)
				if collection == "pools" {
					for _, member := range c.list(t, "pools/"+child.ID+"/members") {
						c.mustBeActive(t, "members", member)
					}
				}
			}
		}
		if lb.Name == "e2e-killed-more" {
			c.cleanUp(t, lb.ID)
		}
	}
}

func (c *cloud) mustBeActive(t *testing.T, collection string, o object) {
	t.Helper()
	if o.ProvisioningStatus != "ACTIVE" {
		t.Errorf("%s %s is %s", collection, o.ID, o.ProvisioningStatus)
	}
}

// TestDriverAgentPaused stops the only way to Octavia for 30 s while a change waits for it.
func TestDriverAgentPaused(t *testing.T) {
	c := shared
	s := c.webService(t, "e2e-agent-paused")
	c.service(t, "pause", "driver-agent")
	resumed := false
	resume := func() {
		if !resumed {
			resumed = true
			c.service(t, "resume", "driver-agent")
		}
	}
	defer resume()
	_, err := c.create(t, "member", "pools/"+s.pool.ID+"/members", map[string]any{
		"address": c.env["OE_MEMBER2_ADDRESS"], "protocol_port": 80,
	})
	if err != nil {
		t.Fatalf("a paused driver-agent must not refuse calls: %v", err)
	}
	time.Sleep(30 * time.Second) // the outage that the requirement names
	resume()
	c.settle(t, s.lb.ID)
	c.noneStuck(t)
	if got := c.spread(t, s.address, 20); got["member2"] == 0 {
		t.Errorf("the member that was added during the outage does not serve: %v", got)
	}
}

// TestEnvoyKilled and TestAgentKilled kill a part of the amphora, change something meanwhile and ask again.
func TestEnvoyKilled(t *testing.T) {
	c := shared
	s := c.webService(t, "e2e-envoy-killed")
	for _, pid := range c.processes(t, s.lb.ID, "envoy") {
		kill(t, pid)
	}
	c.changeAndAsk(t, s)
}

func TestAgentKilled(t *testing.T) {
	c := shared
	s := c.webService(t, "e2e-agent-killed")
	before := c.processes(t, s.lb.ID, "envoy")
	for _, pid := range c.processes(t, s.lb.ID, "amphora-agent") {
		kill(t, pid)
	}
	c.changeAndAsk(t, s)
	eventually(t, settleTime, func() error {
		if len(c.processes(t, s.lb.ID, "amphora-agent")) == 0 {
			return errors.New("no agent runs")
		}
		return nil
	})
	if after := c.processes(t, s.lb.ID, "envoy"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the agent's death took Envoy along: processes %v became %v", before, after)
	}
}

func (c *cloud) changeAndAsk(t *testing.T, s webService) {
	t.Helper()
	c.mustCreate(t, s.lb.ID, "member", "pools/"+s.pool.ID+"/members", map[string]any{
		"address": c.env["OE_MEMBER2_ADDRESS"], "protocol_port": 80,
	})
	c.serves(t, s.address)
	if got := c.spread(t, s.address, 20); got["member1"] == 0 || got["member2"] == 0 {
		t.Errorf("not both members serve: %v", got)
	}
	c.noneStuck(t)
}

// TestStoreLocked holds the write lock of the controller's database for 10 s.
func TestStoreLocked(t *testing.T) {
	c := shared
	s := c.webService(t, "e2e-store-locked")
	database, err := sql.Open("sqlite", "file:"+c.env["OE_STORE"]+"?_pragma=busy_timeout(15000)")
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	connection, err := database.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := connection.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		answered <- c.request(t.Context(), http.MethodPut, "pools/"+s.pool.ID+"/members/"+s.member.ID,
			map[string]any{"member": map[string]any{"weight": 7}}, nil)
	}()
	time.Sleep(10 * time.Second) // the outage that the requirement names
	if _, err := connection.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil && !refusedByFailure(err) {
		t.Fatal(err)
	}
	c.settle(t, s.lb.ID)
	c.noneStuck(t)
	c.changeAndAsk(t, s)
}

// TestRefusedByEnvoy sends Envoy a listener that it refuses, by the controller's fault flag.
func TestRefusedByEnvoy(t *testing.T) {
	c := shared
	healthy := c.webService(t, "e2e-healthy")
	s := c.webService(t, "e2e-refused")
	c.configure(t, "\nfault: {nack_listener: e2e-nack}\n")
	listener, err := c.create(t, "listener", "listeners", map[string]any{
		"loadbalancer_id": s.lb.ID, "name": "e2e-nack", "protocol": "HTTP", "protocol_port": 81,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.settle(t, s.lb.ID) // the load balancer stays ACTIVE, so that its user can correct it
	refused, err := c.get(t, "listener", "listeners/"+listener.ID)
	if err != nil || refused.ProvisioningStatus != "ERROR" {
		t.Errorf("the refused listener is %s, error %v", refused.ProvisioningStatus, err)
	}
	const sentence = "Didn't find a registered implementation for"
	if status := c.status(t); !strings.Contains(status, sentence) {
		t.Errorf("octavia-envoy status does not hold Envoy's sentence:\n%s", status)
	}
	if log := c.log(t, "controller"); !strings.Contains(log, sentence) {
		t.Error("the controller's log does not hold Envoy's sentence")
	}
	c.serves(t, s.address)
	c.serves(t, healthy.address)
	c.mustCreate(t, healthy.lb.ID, "member", "pools/"+healthy.pool.ID+"/members", map[string]any{
		"address": c.env["OE_MEMBER2_ADDRESS"], "protocol_port": 80,
	})
	if err := c.call(t, http.MethodDelete, "listeners/"+listener.ID, nil, nil); err != nil {
		t.Errorf("delete the refused listener: %v", err)
	}
	c.settle(t, s.lb.ID)
	c.noneStuck(t)
}

// configure appends to the controller's configuration and restarts it; the test's end takes it back.
func (c *cloud) configure(t *testing.T, more string) {
	t.Helper()
	path := c.env["OE_CONFIG"]
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		c.restartController(t)
	}
	t.Cleanup(func() { write(before) })
	write(append(slices.Clip(before), more...))
}

// log reads the end of a service's log.
func (c *cloud) log(t *testing.T, service string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(c.env["OE_LOGS"], service+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// processes finds the processes of a load balancer's amphorae by their program's name, from the store's amphora ids.
func (c *cloud) processes(t *testing.T, loadBalancer, program string) []int {
	t.Helper()
	var found []int
	for _, amphora := range c.amphorae(t, loadBalancer) {
		entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			content, err := os.ReadFile(entry)
			if err != nil {
				continue // it has ended
			}
			words := strings.Split(string(content), "\x00")
			if filepath.Base(words[0]) == program && strings.Contains(string(content), amphora) {
				pid, err := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, pid)
			}
		}
	}
	return found
}

// amphorae reads the ids of a load balancer's amphorae from the controller's store.
func (c *cloud) amphorae(t *testing.T, loadBalancer string) []string {
	t.Helper()
	database, err := sql.Open("sqlite", "file:"+c.env["OE_STORE"]+"?mode=ro&_pragma=busy_timeout(15000)")
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	rows, err := database.QueryContext(t.Context(), "SELECT id FROM amphorae WHERE loadbalancer_id = ?", loadBalancer)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill process %d: %v", pid, err)
	}
}
