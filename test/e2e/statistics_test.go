package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// statistics are what Octavia's API says of a listener or a load balancer.
type statistics struct {
	Active      int64 `json:"active_connections"`
	In          int64 `json:"bytes_in"`
	Out         int64 `json:"bytes_out"`
	Errors      int64 `json:"request_errors"`
	Connections int64 `json:"total_connections"`
}

func (s statistics) plus(more statistics) statistics {
	return statistics{
		s.Active + more.Active, s.In + more.In, s.Out + more.Out, s.Errors + more.Errors, s.Connections + more.Connections,
	}
}

// TestStatistics counts the bytes of its own connections, and wants Octavia to say the same: of each listener and of the load
// balancer, while an Envoy dies, an amphora is replaced and a listener is away for a while.
func TestStatistics(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-statistics",
		[]fields{listener("web", "HTTP", 80, "web"), listener("echo", "TCP", 7, "echo", lasting())},
		[]fields{pool("web", "HTTP", c.members(80)), pool("echo", "TCP", c.members(7))})
	var web, echo statistics
	agree := func(when string) {
		t.Helper()
		s.counted(t, when, map[string]statistics{"web": web, "echo": echo})
	}
	traffic := func() {
		t.Helper()
		web = web.plus(s.browse(t, 80, 12, 3))
		echo = echo.plus(s.exchange(t, 7, 3, 70_000))
	}
	agree("before any traffic")
	traffic()
	agree("after traffic")

	open := &countingConn{Conn: c.mustDial(t, "", "tcp", s.at(7))}
	greet(t, open)
	echo = echo.plus(statistics{Active: 1, Connections: 1, Out: open.read.Load()})
	agree("with an open connection")
	_ = open.Close()
	echo.Active--
	agree("after its end")

	// What nobody answers is still answered to somebody.
	s.put(t, "pool", "pools/"+s.id(t, "pool web"), fields{"admin_state_up": false})
	web = web.plus(s.browse(t, 80, 2, 1))
	s.put(t, "pool", "pools/"+s.id(t, "pool web"), fields{"admin_state_up": true})
	agree("after answers of Envoy's own")

	for _, pid := range c.processes(t, s.lb.ID, "envoy") {
		kill(t, pid)
	}
	c.serves(t, s.at(80))
	// How many bytes that took is not known here: what Octavia says from now on is the base.
	before := web
	eventually(t, settleTime, func() error {
		web = s.statistics(t, "listeners/"+s.id(t, "listener web"))
		if web.Connections <= before.Connections {
			return fmt.Errorf("%d connections, %d before and at least one since", web.Connections, before.Connections)
		}
		return nil
	})
	if web.In < before.In || web.Out < before.Out {
		t.Errorf("after Envoy's death %+v, before %+v", web, before)
	}
	traffic()
	agree("after Envoy was killed")

	c.openstack(t, "loadbalancer failover "+s.lb.ID)
	s.settle(t, s.lb.ID)
	traffic()
	agree("after a failover")

	s.put(t, "listener", "listeners/"+s.id(t, "listener echo"), fields{"admin_state_up": false})
	agree("without a listener")
	s.put(t, "listener", "listeners/"+s.id(t, "listener echo"), fields{"admin_state_up": true})
	traffic()
	agree("after its return")

	var shown struct {
		Connections int64 `json:"total_connections"`
		In          int64 `json:"bytes_in"`
	}
	if err := json.Unmarshal([]byte(c.openstack(t, "loadbalancer stats show -f json "+s.lb.ID)), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Connections != web.Connections+echo.Connections || shown.In != web.In+echo.In {
		t.Errorf("openstack loadbalancer stats show: %+v", shown)
	}
}

// TestStatisticsOfARestartedController goes on where the last controller left off.
func TestStatisticsOfARestartedController(t *testing.T) {
	c := shared
	s := c.populate(t, "e2e-statistics-restart",
		[]fields{listener("web", "HTTP", 80, "web")}, []fields{pool("web", "HTTP", c.members(80))})
	web := s.browse(t, 80, 10, 2)
	s.counted(t, "at first", map[string]statistics{"web": web})
	c.restartController(t)
	web = web.plus(s.browse(t, 80, 10, 2))
	s.counted(t, "after the restart", map[string]statistics{"web": web})
}

// counted waits until Octavia says of listeners what is wanted, and of their load balancer the sum.
func (s *tree) counted(t *testing.T, when string, want map[string]statistics) {
	t.Helper()
	var sum statistics
	eventually(t, settleTime, func() error {
		var wrong error
		sum = statistics{}
		for name, wanted := range want {
			sum = sum.plus(wanted)
			if diff := cmp.Diff(wanted, s.statistics(t, "listeners/"+s.id(t, "listener "+name))); diff != "" {
				wrong = errors.Join(wrong, fmt.Errorf("%s, %s (-want +got):\n%s", when, name, diff))
			}
		}
		return wrong
	})
	if diff := cmp.Diff(sum, s.statistics(t, "loadbalancers/"+s.lb.ID)); diff != "" {
		t.Errorf("%s, the load balancer (-want +got):\n%s", when, diff)
	}
}

func (s *tree) statistics(t *testing.T, path string) statistics {
	t.Helper()
	var answer struct{ Stats statistics }
	if err := s.call(t, http.MethodGet, path+"/stats", nil, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Stats
}

// browse sends some requests on each of some connections and says what went over them.
func (s *tree) browse(t *testing.T, port, requests, connections int) statistics {
	t.Helper()
	sum := statistics{Connections: int64(connections)}
	for range connections {
		var counting *countingConn
		client := s.client(t)
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := s.dial(ctx, "", network, address)
			counting = &countingConn{Conn: connection}
			return counting, err
		}}
		for i := range requests {
			body := strings.NewReader(strings.Repeat("x", 1000*i))
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://%s/%d", s.at(port), i), body)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
		client.CloseIdleConnections()
		sum.In += counting.written.Load()
		sum.Out += counting.read.Load()
	}
	return sum
}

// exchange sends bytes to the lab's echo server over some connections, and reads them back.
func (s *tree) exchange(t *testing.T, port, connections, bytes int) statistics {
	t.Helper()
	sum := statistics{Connections: int64(connections)}
	for range connections {
		counting := &countingConn{Conn: s.mustDial(t, "", "tcp", s.at(port))}
		greeting := int64(len(greet(t, counting)) + 1)
		go func() { _, _ = counting.Write(make([]byte, bytes)) }()
		if _, err := io.CopyN(io.Discard, counting, int64(bytes)); err != nil {
			t.Fatalf("%d bytes and a greeting of %d were not echoed: %v", bytes, greeting, err)
		}
		_ = counting.Close()
		sum.In += counting.written.Load()
		sum.Out += counting.read.Load()
	}
	return sum
}

// countingConn counts what goes over a connection, in bytes.
type countingConn struct {
	net.Conn
	read, written atomic.Int64
}

func (c *countingConn) Read(p []byte) (int, error) {
	count, err := c.Conn.Read(p)
	c.read.Add(int64(count))
	return count, err
}

func (c *countingConn) Write(p []byte) (int, error) {
	count, err := c.Conn.Write(p)
	c.written.Add(int64(count))
	return count, err
}
