package e2e

import (
	"fmt"
	"testing"
)

// TestMonitors has a member that serves, and whose place for checks is good or bad: only a monitor keeps traffic off it.
func TestMonitors(t *testing.T) {
	t.Parallel()
	c := shared
	c.mortal(t, 8191) // serves, without a name
	checked := c.mortal(t, 8192)
	const nowhere = "203.0.113.99"
	kinds := []struct {
		name, command string
		place         fields
		// dies and lives change what the place answers; nil where it stays bad.
		dies, lives func()
	}{
		{
			"http", "--type HTTP --http-version 1.1 --domain-name www.example.org --expected-codes 200-204 --url-path /",
			fields{"monitor_port": 8192},
			checked.die, func() { checked.live(t) },
		},
		{"old", "--type HTTP --http-version 1.0 --url-path /", fields{"monitor_port": 8192}, checked.die, func() { checked.live(t) }},
		{"tcp", "--type TCP", fields{"monitor_port": 8192}, checked.die, func() { checked.live(t) }},
		{"ping", "--type PING", fields{"monitor_address": nowhere}, nil, nil},
		{"secret", "--type HTTPS", fields{"monitor_port": 8192}, nil, nil},
		{"hello", "--type TLS-HELLO", fields{"monitor_port": 8192}, nil, nil},
	}
	var listeners, pools []fields
	for i, kind := range kinds {
		listeners = append(listeners, listener(kind.name, "HTTP", 8000+i, kind.name))
		// By TLS, only a member that speaks it at the place of its checks is up.
		good := c.member(2, 80)
		if kind.name == "secret" || kind.name == "hello" {
			good = with(good, fields{"monitor_port": 443})
		}
		pools = append(pools, pool(kind.name, "HTTP", []fields{good, c.member(1, 8191, kind.place, fields{"name": "nameless"})}))
	}
	s := c.populate(t, "e2e-monitors", listeners, pools)
	both := func(port int) {
		t.Helper()
		eventually(t, settleTime, func() error {
			seen := map[string]int{}
			client := c.client(t)
			for range 8 {
				code, member, err := c.fetch(t, client, s.at(port))
				if err != nil {
					return err
				}
				seen[fmt.Sprint(code, " ", member)]++
			}
			if seen["200 "] == 0 || seen["200 member2"] == 0 || len(seen) != 2 {
				return fmt.Errorf("port %d is answered by %v, not by both", port, seen)
			}
			return nil
		})
	}
	for i, kind := range kinds {
		both(8000 + i)
		s.cli(t, "loadbalancer healthmonitor create --name e2e-monitor-"+kind.name+" --delay 1 --timeout 1 --max-retries 1 --max-retries-down 2 "+
			kind.command+" [pool "+kind.name+"]")
		if kind.dies != nil {
			both(8000 + i)
			kind.dies()
		}
		c.answers(t, s.at(8000+i), "/", "200 member2")
		if kind.lives != nil {
			kind.lives()
			both(8000 + i)
		}
	}
	s.cli(t, "loadbalancer healthmonitor set --disable e2e-monitor-ping")
	both(8003)
	s.cli(t, "loadbalancer healthmonitor delete e2e-monitor-hello")
	both(8005)
	s.allActive(t)
}
