package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sort"
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
		all := map[string]string{}
		for name, state := range well {
			all[name] = state
		}
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
