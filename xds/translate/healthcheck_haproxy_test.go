package translate

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// checkPath is what the monitors of these tests ask for: it tells checks from traffic.
const checkPath = "/health"

// patient is a member whose checks are answered as the test says, and counted.
type patient struct {
	place  string
	mode   atomic.Value
	checks atomic.Int64
}

func newPatient(t *testing.T, mode string) *patient {
	t.Helper()
	p := &patient{}
	p.mode.Store(mode)
	p.place = server(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != checkPath {
			_, _ = io.WriteString(w, "patient")
			return
		}
		p.checks.Add(1)
		switch p.mode.Load() {
		case "wrong code":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "hangs":
			<-r.Context().Done()
		case "breaks off":
			panic(http.ErrAbortHandler)
		}
	})
	return p
}

// becomes changes how checks are answered, and counts from here.
func (p *patient) becomes(mode string) {
	p.mode.Store(mode)
	p.checks.Store(0)
}

// TestMonitorAsHAProxy counts the checks that take a member down and up again, at the real Envoy and at the real HAProxy: rise and
// fall, whatever is wrong, without any traffic.
func TestMonitorAsHAProxy(t *testing.T) {
	const rise, fall = 2, 3
	want := map[string]int64{
		"bad from the start: down after": 1, "bad from the start: up after": rise,
		"wrong code: down after": fall, "hangs: down after": fall, "breaks off: down after": fall,
		"wrong code: up after": rise, "hangs: up after": rise, "breaks off: up after": rise,
	}
	for name, monitored := range map[string]func(*testing.T, string, int, int) func() (bool, error){
		"Envoy": monitoredByEnvoy, "HAProxy": monitoredByHAProxy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			member := newPatient(t, "wrong code")
			up := monitored(t, member.place, rise, fall)
			counted := func(want bool) int64 {
				t.Helper()
				testkit.Eventually(t, func() error {
					got, err := up()
					if err == nil && got != want {
						err = fmt.Errorf("up is %v", got)
					}
					return err
				})
				return member.checks.Load()
			}
			got := map[string]int64{"bad from the start: down after": counted(false)}
			member.becomes("good")
			got["bad from the start: up after"] = counted(true)
			for _, mode := range []string{"wrong code", "hangs", "breaks off"} {
				member.becomes(mode)
				got[mode+": down after"] = counted(false)
				member.becomes("good")
				got[mode+": up after"] = counted(true)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("checks (-want +got):\n%s", diff)
			}
		})
	}
}

// monitoredByEnvoy runs an Envoy with a pool of that member, and returns what says whether it is up, from the log of its checks.
func monitoredByEnvoy(t *testing.T, place string, rise, fall int) func() (bool, error) {
	t.Helper()
	p := pool("blue", "HTTP", place)
	p.HealthMonitor = &model.HealthMonitor{
		ID: "hm", AdminStateUp: true, Type: model.HealthMonitorHTTP, Delay: 1, Timeout: 1, MaxRetries: rise, MaxRetriesDown: fall,
		HTTPMethod: "GET", URLPath: checkPath, ExpectedCodes: "200",
	}
	dir := monitoring(t, &model.LoadBalancer{Listeners: []model.Listener{listener(t, "web", "HTTP", "blue")}, Pools: []model.Pool{p}})
	return func() (bool, error) {
		events, err := os.ReadFile(filepath.Join(dir, HealthLog))
		lines := bytes.Split(bytes.TrimSpace(events), []byte("\n"))
		last := lines[len(lines)-1]
		if err != nil || len(last) == 0 {
			return false, errors.Join(err, errors.New("there is no event yet"))
		}
		if !bytes.Contains(last, []byte(`"member":"blue0"`)) || !bytes.Contains(last, []byte(`"pool":"blue"`)) {
			t.Fatalf("an event that does not say whose it is: %s", last)
		}
		return bytes.Contains(last, []byte("add_healthy_event")), nil
	}
}

// monitoring is serve without waiting for listeners; it returns Envoy's working directory.
func monitoring(t *testing.T, lb *model.LoadBalancer) string {
	t.Helper()
	lb.ID, lb.VIPAddress, lb.AdminStateUp = "lb", vip, true
	config := writeStatic(t, translated(t, lb))
	envoybin.Start(t, config, "--file-flush-interval-msec", "10") // else every 10 s
	return filepath.Dir(config)
}

// monitoredByHAProxy is the same of an HAProxy, with the lines of Octavia's template.
func monitoredByHAProxy(t *testing.T, place string, rise, fall int) func() (bool, error) {
	t.Helper()
	socket := filepath.Join(testkit.SocketDir(t), "stats")
	port := hold(t)
	startHAProxy(t, fmt.Sprintf(`global
    stats socket %s
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend web
    bind %s:%d
    default_backend blue
backend blue
    timeout check 1s
    option httpchk GET %s HTTP/1.1
    http-check send hdr Host www.example.org
    http-check expect rstatus 200
    server s %s weight 1 check inter 1s fall %d rise %d
`, socket, vip, port, checkPath, netip.MustParseAddrPort(place), fall, rise), port)
	return func() (bool, error) {
		connection, err := net.DialTimeout("unix", socket, time.Second)
		if err != nil {
			return false, err
		}
		defer func() { _ = connection.Close() }()
		if _, err = io.WriteString(connection, "show stat\n"); err != nil {
			return false, err
		}
		rows := csv.NewReader(bufio.NewReader(connection))
		rows.FieldsPerRecord = -1
		all, err := rows.ReadAll()
		if err != nil {
			return false, err
		}
		for _, row := range all {
			if len(row) > 17 && row[0] == "blue" && row[1] == "s" {
				return strings.HasPrefix(row[17], "UP"), nil
			}
		}
		return false, io.ErrUnexpectedEOF
	}
}
