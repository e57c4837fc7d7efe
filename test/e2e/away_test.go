package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// checkEvery, falls and rises are the monitor's delay, max_retries_down and max_retries.
	checkEvery   = 1
	falls, rises = 2, 1
	// window is when traffic has left a member at the latest, whatever else the machine does: falls checks that take their
	// timeout, and one that had just begun.
	window = (2*falls + 1) * checkEvery * time.Second
	// illFor is how long a member is ill at a time.
	illFor = window + 2*time.Second
)

// absence is for how long members fail and recover while the controller is away: OE_ABSENCE, or 10 s, in which they do so twice.
func absence(t *testing.T) (length time.Duration, given bool) {
	t.Helper()
	text := os.Getenv("OE_ABSENCE")
	if text == "" {
		return 10 * time.Second, false
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return length, true
}

// TestMembersFailWhileTheControllerIsAway has two of three members fail and recover in turns while the controller does not
// run, for OE_ABSENCE (10 s): no client is refused anything, none meets a member that has failed for longer than checks need,
// and soon after the controller's return Octavia has the states that are true then. With OE_ABSENCE the controller is
// killed as well as stopped in its tracks.
func TestMembersFailWhileTheControllerIsAway(t *testing.T) {
	c := shared
	length, thorough := absence(t)
	w := c.ward(t, 31, 3)
	patients := make([]*patient, len(w.addresses))
	members := make([]fields, len(patients))
	for i, address := range w.addresses {
		patients[i] = w.admit(t, &patient{name: fmt.Sprint("patient", i), address: address, speaks: "http"})
		members[i] = patients[i].member()
	}
	s := c.populate(t, "e2e-away", []fields{listener("web", "HTTP", 80, "web")}, []fields{
		pool("web", "HTTP", members, fields{"healthmonitor": fields{
			"name": "checks", "type": "HTTP", "url_path": checkPath, "delay": checkEvery, "timeout": checkEvery,
			"max_retries": rises, "max_retries_down": falls,
		}}),
	})
	good := map[string]string{
		"lb": "ONLINE", "pool web": "ONLINE", "member web/patient0": "ONLINE", "member web/patient1": "ONLINE", "member web/patient2": "ONLINE",
	}
	s.become(t, "all are well", good)
	kinds := [][2]string{{"pause", "resume"}}
	if thorough {
		kinds = append(kinds, [2]string{"kill", "start"})
	}
	for _, kind := range kinds {
		back := sync.OnceFunc(func() { c.service(t, kind[1], "controller") })
		t.Cleanup(back)
		traffic := s.traffic(t)
		c.service(t, kind[0], "controller")
		begin, illnesses := time.Now(), 0
		for time.Since(begin) < length {
			illnesses += 2
			s.fallIll(t, patients, illFor)
			for _, p := range patients {
				p.becomes(t, well)
				p.hits.Store(0)
			}
			eventually(t, patience, func() error {
				for _, p := range patients {
					if p.hits.Load() == 0 {
						return errors.New(p.name + " is well and meets no clients")
					}
				}
				return nil
			})
		}
		// What is true at the end is not what Octavia was told last.
		illnesses += 2
		s.fallIll(t, patients, illFor)
		patients[1].becomes(t, well)
		away := time.Since(begin).Round(time.Second)
		back()
		s.become(t, kind[1], map[string]string{
			"lb": "DEGRADED", "pool web": "DEGRADED",
			"member web/patient0": "ERROR", "member web/patient1": "ONLINE", "member web/patient2": "ONLINE",
		})
		patients[0].becomes(t, well)
		s.become(t, "all are well again", good)
		requests := traffic()
		t.Logf("%s: %d requests in an absence of %v, %d illnesses", kind[0], requests, away, illnesses)
	}
	s.allActive(t)
}

// fallIll makes two patients ill for some time. One serves clients well and fails checks, so it knows whether it is met; the other has no
// open port.
func (s *tree) fallIll(t *testing.T, patients []*patient, length time.Duration) {
	t.Helper()
	patients[0].becomes(t, liar)
	patients[1].becomes(t, dead)
	time.Sleep(window) // what it takes to see that, and no more
	patients[0].hits.Store(0)
	time.Sleep(length - window)
	if hits := patients[0].hits.Load(); hits > 0 {
		t.Errorf("a member that had failed for %v was met by %d clients in the %v after that", window, hits, length-window)
	}
}

// traffic asks the load balancer on and on, each time over a new connection, until the function that it returns is
// called, which returns how many requests there were. Each has to be answered 200.
func (s *tree) traffic(t *testing.T) (stop func() int64) {
	t.Helper()
	ended := make(chan struct{})
	var clients sync.WaitGroup
	var requests atomic.Int64
	for range 2 {
		clients.Go(func() {
			client := s.client(t)
			for wrong := 0; wrong < 10; {
				select {
				case <-ended:
					return
				case <-time.After(20 * time.Millisecond):
				}
				code, member, err := s.fetch(t, client, s.at(80))
				requests.Add(1)
				if err != nil || code != http.StatusOK {
					wrong++
					t.Errorf("request %d: status %d by %q, error %v", requests.Load(), code, member, err)
				}
			}
		})
	}
	stop = sync.OnceValue(func() int64 {
		close(ended)
		clients.Wait()
		return requests.Load()
	})
	t.Cleanup(func() { stop() })
	return stop
}
