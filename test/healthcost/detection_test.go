package healthcost

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	delay        = time.Second
	falls, rises = 3, 2
	// subjects is how many members die and return, of each monitor, rounds times each.
	subjects, rounds = 5, 10
	// every is the time between two clients of a listener.
	every = 20 * time.Millisecond
	// sure is after how many clients in a row that the other member has served traffic avoids the one; before, it was every
	// second.
	sure = 15
)

// subject is a member that dies and returns; the other member of its pool does not.
type subject struct {
	kind    string
	checks  *checked
	clients map[string]*watch // by proxy
}

// BenchmarkDetection reports, for monitors of HTTP and TCP, how long after a member's death traffic avoids it, as part of
// delay × max_retries_down, and how long after its return traffic meets it, as part of delay × max_retries: medians,
// and the tenth and ninetieth of a hundred.
func BenchmarkDetection(b *testing.B) {
	for b.Loop() {
		var all []*subject
		var pools []model.Pool
		for i := range 2 * subjects {
			s := &subject{kind: model.HealthMonitorHTTP, clients: map[string]*watch{}}
			if i%2 == 1 {
				s.kind = model.HealthMonitorTCP
			}
			ill, well := home(2*i), home(2*i+1)
			greets(b, ill, "i")
			greets(b, well, "w")
			s.checks = newChecked(b, s.kind, address(ill, checkPort))
			newChecked(b, s.kind, address(well, checkPort))
			all = append(all, s)
			pools = append(pools, pool(fmt.Sprint("pool-", i), s.kind, falls, rises,
				member(fmt.Sprint("ill-", i), ill, clientPort, checkPort), member(fmt.Sprint("well-", i), well, clientPort, checkPort)))
		}
		vips := map[string]string{"HAProxy": haproxyVIP, "Envoy": envoyVIP}
		startHAProxy(b, loadBalancer(haproxyVIP, pools...))
		startEnvoy(b, loadBalancer(envoyVIP, pools...))
		for name, vip := range vips {
			for i, s := range all {
				s.clients[name] = newWatch(b, address(vip, firstPort+i))
			}
		}
		times := map[string][]float64{}
		var guard sync.Mutex
		var working sync.WaitGroup
		for _, s := range all {
			working.Go(func() {
				for _, w := range s.clients {
					w.until(func() bool { return w.met > 0 })
				}
				for range rounds {
					time.Sleep(rand.N(delay)) // any moment between two checks
					s.turn(true, func(proxy string, took time.Duration) {
						guard.Lock()
						defer guard.Unlock()
						key := fmt.Sprintf("%s monitor, death, %s", s.kind, proxy)
						times[key] = append(times[key], float64(took)/float64(falls*delay))
					})
					time.Sleep(rand.N(delay))
					s.turn(false, func(proxy string, took time.Duration) {
						guard.Lock()
						defer guard.Unlock()
						key := fmt.Sprintf("%s monitor, return, %s", s.kind, proxy)
						times[key] = append(times[key], float64(took)/float64(rises*delay))
					})
				}
			})
		}
		working.Wait()
		for _, kind := range []string{model.HealthMonitorHTTP, model.HealthMonitorTCP} {
			for _, what := range []string{"death", "return"} {
				for _, proxy := range []string{"HAProxy", "Envoy"} {
					of := times[fmt.Sprintf("%s monitor, %s, %s", kind, what, proxy)]
					slices.Sort(of)
					b.Logf("%-4s %-6s %-7s  median %.2f  p10 %.2f  p90 %.2f  most %.2f  of %d", kind, what, proxy,
						of[len(of)/2], of[len(of)/10], of[len(of)*9/10], of[len(of)-1], len(of))
					b.ReportMetric(of[len(of)/2], fmt.Sprintf("%s-%s-%s", kind, what, proxy))
				}
			}
		}
		b.ReportMetric(0, "ns/op")
	}
}

// turn has the subject's checks fail or succeed, and tells by proxy how long that took to show.
func (s *subject) turn(death bool, tell func(proxy string, took time.Duration)) {
	var begin time.Time
	for _, w := range s.clients {
		w.reset()
	}
	begin = time.Now()
	s.checks.become(!death)
	for proxy, w := range s.clients {
		if death {
			w.until(func() bool { return w.missed >= sure })
			tell(proxy, w.last.Sub(begin))
			continue
		}
		w.until(func() bool { return w.met > 0 })
		tell(proxy, w.first.Sub(begin))
	}
}

// watch is the clients of one listener.
type watch struct {
	address string

	mu      sync.Mutex
	changed *sync.Cond
	// met and missed count the clients in a row that the subject served, and that the other served.
	met, missed int
	// first and last are when the subject served the first and the last of them since the last reset.
	first, last time.Time
}

func newWatch(tb testing.TB, address string) *watch {
	tb.Helper()
	w := &watch{address: address}
	w.changed = sync.NewCond(&w.mu)
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
			if err := w.ask(); err != nil {
				tb.Errorf("%s: %v", address, err)
				return
			}
		}
	})
	tb.Cleanup(func() {
		close(ended)
		running.Wait()
	})
	return w
}

func (w *watch) ask() error {
	begin := time.Now()
	connection, err := net.DialTimeout("tcp", w.address, time.Minute)
	if err != nil {
		return err
	}
	defer connection.Close()
	answer := make([]byte, 1)
	if _, err := io.ReadFull(connection, answer); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if answer[0] == 'i' {
		if w.met == 0 {
			w.first = begin
		}
		w.last = begin
		w.met++
		w.missed = 0
	} else {
		w.missed++
	}
	w.changed.Broadcast()
	return nil
}

func (w *watch) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.met, w.missed = 0, 0
	w.first, w.last = time.Time{}, time.Now()
}

func (w *watch) until(ok func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !ok() {
		w.changed.Wait()
	}
}

// greets is a member's place for clients: it says one byte.
func greets(tb testing.TB, host, word string) {
	tb.Helper()
	listener, err := net.Listen("tcp", address(host, clientPort))
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(connection, word)
			_ = connection.Close()
		}
	}()
}
