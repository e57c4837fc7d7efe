package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// healthTime is how long Octavia may take to say how members are: checks every second, and whatever else the machine does.
const healthTime = time.Minute

// mortal is a member of the test's own, at a port of the lab's first, that can die and come back.
type mortal struct {
	c      *cloud
	port   int
	server *http.Server
}

func (c *cloud) mortal(t *testing.T, port int) *mortal {
	t.Helper()
	m := &mortal{c: c, port: port}
	m.live(t)
	t.Cleanup(m.die)
	return m
}

func (m *mortal) live(t *testing.T) {
	t.Helper()
	var listener net.Listener
	err := inNamespace(m.c.env["OE_MEMBER1_NETNS"], func() error {
		var err error
		listener, err = new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", fmt.Sprintf("%s:%d", m.c.env["OE_MEMBER1_ADDRESS"], m.port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m.server = &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "alive")
	})}
	server := m.server
	go func() { _ = server.Serve(listener) }()
}

func (m *mortal) die() { _ = m.server.Close() }

// states are those of the load balancer and all below it, by kind and name.
func (s *tree) states(t *testing.T) map[string]string {
	t.Helper()
	lb, err := s.get(t, "loadbalancer", "loadbalancers/"+s.lb.ID)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"lb": lb.OperatingStatus}
	for name, o := range s.look(t) {
		all[name] = o.OperatingStatus
	}
	return all
}

// become waits until Octavia says of what is named what is wanted.
func (s *tree) become(t *testing.T, when string, want map[string]string) {
	t.Helper()
	begin := time.Now()
	eventually(t, healthTime, func() error {
		var wrong []string
		states := s.states(t)
		for name, state := range want {
			if states[name] != state {
				wrong = append(wrong, fmt.Sprintf("%s is %s, not %s", name, states[name], state))
			}
		}
		if len(wrong) > 0 {
			sort.Strings(wrong)
			return fmt.Errorf("%s: %s\n%s", when, strings.Join(wrong, ", "), s.status(t))
		}
		return nil
	})
	t.Logf("%s: Octavia says so after %v", when, time.Since(begin).Round(100*time.Millisecond))
}

// TestOperatingStates reads from Octavia's API what the amphora sees.
func TestOperatingStates(t *testing.T) {
	t.Parallel()
	c := shared
	mortals := map[string]*mortal{}
	var members []fields
	for i, name := range []string{"one", "two", "three"} {
		mortals[name] = c.mortal(t, 8181+i)
		members = append(members, c.member(1, 8181+i, fields{"name": name}))
	}
	monitor := fields{"type": "HTTP", "delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1, "url_path": "/"}
	s := c.populate(t, "e2e-health",
		[]fields{listener("web", "HTTP", 80, "web", lasting(), fields{"connection_limit": 3})},
		[]fields{pool("web", "HTTP", members, fields{"healthmonitor": with(monitor, fields{"name": "checks"})})})
	well := map[string]string{
		"lb": "ONLINE", "listener web": "ONLINE", "pool web": "ONLINE",
		"member web/one": "ONLINE", "member web/two": "ONLINE", "member web/three": "ONLINE",
	}
	but := func(changes ...string) map[string]string {
		all := maps.Clone(well)
		for _, change := range changes {
			name, state, _ := strings.Cut(change, "=")
			all[name] = state
		}
		return all
	}
	s.become(t, "all live", well)

	mortals["one"].die()
	s.become(t, "one has died", but("lb=DEGRADED", "pool web=DEGRADED", "member web/one=ERROR"))
	shown := c.run(t, c.env["OE_BINARY"], "status", s.lb.ID, "--socket", c.env["OE_API_SOCKET"])
	line := ""
	for candidate := range strings.Lines(shown) {
		if strings.Contains(candidate, s.id(t, "member web/one")) {
			line = strings.TrimSpace(candidate)
		}
	}
	if !strings.Contains(line, "DOWN") || !strings.Contains(line, "ago") || !strings.HasSuffix(line, "NETWORK") {
		t.Errorf("octavia-envoy status does not show how the amphora sees it: %q in\n%s", line, shown)
	}
	mortals["two"].die()
	mortals["three"].die()
	s.become(t, "all have died",
		but("lb=ERROR", "pool web=ERROR", "member web/one=ERROR", "member web/two=ERROR", "member web/three=ERROR"))
	for _, m := range mortals {
		m.live(t)
	}
	s.become(t, "all are back", well)

	one := s.memberPath(t, "web", "one")
	s.put(t, "member", one, fields{"weight": 0})
	s.become(t, "weight 0", but("member web/one=DRAINING"))
	s.put(t, "member", one, fields{"weight": 1})
	s.become(t, "weight 1", well)
	s.put(t, "member", one, fields{"admin_state_up": false})
	s.become(t, "disabled", but("member web/one=OFFLINE"))
	s.put(t, "member", one, fields{"admin_state_up": true})
	s.become(t, "enabled", well)

	s.do(t, http.MethodDelete, "healthmonitors/"+s.monitor(t), nil)
	s.become(t, "the monitor is deleted",
		but("member web/one=NO_MONITOR", "member web/two=NO_MONITOR", "member web/three=NO_MONITOR"))
	mortals["one"].die()
	s.do(t, http.MethodPost, "healthmonitors", fields{"healthmonitor": with(monitor, fields{"pool_id": s.id(t, "pool web")})})
	s.become(t, "a monitor is made", but("lb=DEGRADED", "pool web=DEGRADED", "member web/one=ERROR"))
	mortals["one"].live(t)
	s.become(t, "one is back", well)

	var connections []net.Conn
	for range 3 {
		connections = append(connections, c.mustDial(t, "", "tcp", s.at(80)))
	}
	s.become(t, "the connection limit is reached", but("lb=DEGRADED", "listener web=DEGRADED"))
	for _, connection := range connections {
		connection.Close()
	}
	s.become(t, "the connections are closed", well)
	s.allActive(t)
}

// monitor is the id of the one monitor of the load balancer.
func (s *tree) monitor(t *testing.T) string {
	t.Helper()
	var answer struct {
		Pool struct {
			Monitor string `json:"healthmonitor_id"`
		} `json:"pool"`
	}
	if err := s.call(t, http.MethodGet, "pools/"+s.id(t, "pool web"), nil, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Pool.Monitor
}

// TestStatesAfterAnAbsence has a member die, and one come back, while the controller is away: traffic is right meanwhile, and
// the states soon after its return.
func TestStatesAfterAnAbsence(t *testing.T) {
	c := shared
	one, two := c.mortal(t, 8191), c.mortal(t, 8192)
	s := c.populate(t, "e2e-absence", []fields{listener("web", "HTTP", 80, "web")}, []fields{pool("web", "HTTP", []fields{
		c.member(1, 8191, fields{"name": "one"}), c.member(1, 8192, fields{"name": "two"}),
	}, fields{"healthmonitor": fields{
		"name": "checks", "type": "HTTP", "delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1,
	}})})
	one.die()
	s.become(t, "one has died", map[string]string{"lb": "DEGRADED", "member web/one": "ERROR", "member web/two": "ONLINE"})
	c.service(t, "stop", "controller")
	t.Cleanup(func() { c.service(t, "start", "controller") })
	two.die()
	c.answers(t, s.at(80), "/", "503")
	one.live(t)
	c.answers(t, s.at(80), "/", "200")
	c.service(t, "start", "controller")
	s.become(t, "the controller is back", map[string]string{
		"lb": "DEGRADED", "pool web": "DEGRADED", "member web/one": "ONLINE", "member web/two": "ERROR",
	})
}

// TestFlapping has many members that come and go (OE_FLAPPING of them, 100 by default) for some rounds: Octavia ends with
// the true states.
func TestFlapping(t *testing.T) {
	c := shared
	count := 100
	if given := os.Getenv("OE_FLAPPING"); given != "" {
		var err error
		if count, err = strconv.Atoi(given); err != nil {
			t.Fatal(err)
		}
	}
	s := c.populate(t, "e2e-flapping", []fields{listener("web", "TCP", 80, "web")}, []fields{pool("web", "TCP", nil, fields{
		"healthmonitor": fields{"name": "checks", "type": "TCP", "delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1},
	})})
	doors := make([]*door, count)
	members := make([]fields, count)
	for i := range doors {
		doors[i] = &door{c: c, port: 20000 + i}
		t.Cleanup(doors[i].close)
		members[i] = c.member(1, doors[i].port, fields{"name": strconv.Itoa(doors[i].port)})
	}
	s.do(t, http.MethodPut, "pools/"+s.id(t, "pool web")+"/members", fields{"members": members})
	s.become(t, "all are closed", map[string]string{"lb": "ERROR", "pool web": "ERROR"})
	before, begin := c.counter(t, "octavia_envoy_health_messages_total"), time.Now()
	random := rand.New(rand.NewPCG(uint64(count), 1))
	for range 15 {
		for _, door := range doors {
			if door.close(); random.IntN(2) == 0 {
				door.open(t)
			}
		}
		time.Sleep(2 * time.Second) // more than a check takes: nearly all changes are seen
	}
	flapped, end := time.Since(begin), time.Now()
	eventually(t, healthTime, func() error {
		states := s.states(t)
		for _, door := range doors {
			want := "ERROR"
			if door.listener != nil {
				want = "ONLINE"
			}
			if is := states[fmt.Sprintf("member web/%d", door.port)]; is != want {
				return fmt.Errorf("member %d is %s, not %s", door.port, is, want)
			}
		}
		if states["lb"] != "DEGRADED" || states["pool web"] != "DEGRADED" {
			return fmt.Errorf("the load balancer is %s and its pool %s", states["lb"], states["pool web"])
		}
		return nil
	})
	late := time.Since(end)
	messages := c.counter(t, "octavia_envoy_health_messages_total") - before
	t.Logf("%d members flapped for %v: %v messages, the truth in Octavia %v after the end",
		count, flapped.Round(time.Second), messages, late.Round(time.Second/10))
	if most := 6 + flapped.Seconds()/5 + late.Seconds()/5; messages > most {
		t.Errorf("%v messages", messages)
	}
	s.allActive(t)
}

// door is a port of the lab's first member that is open or closed.
type door struct {
	c        *cloud
	port     int
	listener net.Listener
}

func (d *door) open(t *testing.T) {
	t.Helper()
	err := inNamespace(d.c.env["OE_MEMBER1_NETNS"], func() error {
		var err error
		d.listener, err = new(net.ListenConfig).Listen(context.WithoutCancel(t.Context()), "tcp", fmt.Sprintf("%s:%d", d.c.env["OE_MEMBER1_ADDRESS"], d.port))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := d.listener
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
}

func (d *door) close() {
	if d.listener != nil {
		d.listener.Close()
		d.listener = nil
	}
}

// counter is the value of one of the controller's metrics that has no labels.
func (c *cloud) counter(t *testing.T, name string) float64 {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.env["OE_API_SOCKET"])
		},
	}}
	_, body := c.ask(t, client, "http://controller/metrics")
	for line := range strings.Lines(body) {
		if value, is := strings.CutPrefix(line, name+" "); is {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	t.Fatalf("no %s in the metrics", name)
	return 0
}
