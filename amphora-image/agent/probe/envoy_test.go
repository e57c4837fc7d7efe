package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// object is a JSON object of Envoy's configuration.
type object map[string]any

// member is one of a cluster: checked at monitor, which may be another place than where its traffic goes.
type member struct{ address, monitor string }

// checked returns a cluster whose members Envoy has the bridge check, each second (or as said in also).
func checked(name, path string, also object, members ...member) object {
	endpoints := make([]object, len(members))
	for i, m := range members {
		place := netip.MustParseAddrPort(m.address)
		endpoints[i] = object{"endpoint": object{
			"address":             object{"socket_address": object{"address": place.Addr().String(), "port_value": place.Port()}},
			"health_check_config": object{"address": object{"pipe": object{"path": "probe.sock"}}, "hostname": m.monitor},
		}}
	}
	check := object{
		"timeout": "10s", "interval": "0.2s", "no_traffic_interval": "0.2s", "unhealthy_threshold": 2, "healthy_threshold": 2,
		"reuse_connection": false,
		"http_health_check": object{
			"path": path, "retriable_statuses": []object{{"start": "503", "end": "504"}},
		},
	}
	maps.Copy(check, also)
	return object{
		"name": name, "type": "STATIC", "connect_timeout": "1s", "health_checks": []object{check},
		"load_assignment": object{"cluster_name": name, "endpoints": []object{{"lb_endpoints": endpoints}}},
	}
}

// envoy is one that runs in a directory, as an agent starts it.
type envoy struct {
	dir string
	process.ID
}

func startEnvoy(tb testing.TB, dir string, files []*os.File, clusters ...object) *envoy {
	tb.Helper()
	config, err := json.Marshal(object{
		"admin":            object{"address": object{"pipe": object{"path": filepath.Join(dir, "admin.sock")}}},
		"static_resources": object{"clusters": clusters},
	})
	must(tb, err)
	path := filepath.Join(dir, "envoy.json")
	must(tb, os.WriteFile(path, config, 0o600))
	log, err := os.Create(filepath.Join(dir, "envoy.log"))
	must(tb, err)
	defer log.Close()
	command := exec.Command(envoybin.Path(tb), "--config-path", path, "--disable-hot-restart", "--concurrency", "1", "-l", "warning")
	command.Dir, command.Stdout, command.Stderr, command.ExtraFiles = dir, log, log, files
	must(tb, command.Start())
	tb.Cleanup(func() {
		_ = command.Process.Signal(unix.SIGTERM)
		_ = command.Wait()
		if said, err := os.ReadFile(log.Name()); tb.Failed() && err == nil {
			tb.Logf("Envoy: %s", said)
		}
	})
	id, err := process.Of(command.Process.Pid)
	must(tb, err)
	e := &envoy{dir, id}
	testkit.Eventually(tb, func() error { _, err := e.admin("/ready"); return err })
	return e
}

func (e *envoy) admin(path string) ([]byte, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(e.dir, "admin.sock"))
	}}
	response, err := (&http.Client{Transport: transport}).Get("http://envoy" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// members says of each member of each cluster whether it is up.
func (e *envoy) members() (map[string]bool, error) {
	answer, err := e.admin("/clusters?format=json")
	if err != nil {
		return nil, err
	}
	var parsed struct {
		Clusters []struct {
			Name  string `json:"name"`
			Hosts []struct {
				Address struct {
					Socket struct {
						Address string `json:"address"`
						Port    int    `json:"port_value"`
					} `json:"socket_address"`
				} `json:"address"`
				Health struct {
					Failed bool `json:"failed_active_health_check"`
				} `json:"health_status"`
			} `json:"host_statuses"`
		} `json:"cluster_statuses"`
	}
	if err := json.Unmarshal(answer, &parsed); err != nil {
		return nil, err
	}
	up := map[string]bool{}
	for _, cluster := range parsed.Clusters {
		for _, host := range cluster.Hosts {
			up[fmt.Sprintf("%s %s", cluster.Name, host.Address.Socket.Address)] = !host.Health.Failed
		}
	}
	return up, nil
}

func (e *envoy) waitFor(tb testing.TB, want map[string]bool) {
	tb.Helper()
	testkit.Eventually(tb, func() error {
		have, err := e.members()
		if err != nil {
			return err
		}
		for name, up := range want {
			if have[name] != up {
				err = errors.Join(err, fmt.Errorf("%s: up is %v", name, have[name]))
			}
		}
		return err
	})
}

func (e *envoy) counter(tb testing.TB, name string) int {
	tb.Helper()
	answer, err := e.admin("/stats?format=json&filter=^" + name + "$")
	must(tb, err)
	var parsed struct {
		Stats []struct {
			Value int `json:"value"`
		} `json:"stats"`
	}
	must(tb, json.Unmarshal(answer, &parsed))
	if len(parsed.Stats) != 1 {
		tb.Fatalf("%s: %s", name, answer)
	}
	return parsed.Stats[0].Value
}

// TestEnvoyDecides has members that come and go, of each kind, and Envoy to say so.
func TestEnvoyDecides(t *testing.T) {
	for mode, groups := range modes() {
		t.Run(mode, func(t *testing.T) {
			network := newMachines(t)
			allowPingSockets(t, groups)
			dir := t.TempDir()
			b := New(Options{Socket: filepath.Join(dir, "probe.sock")})
			must(t, b.Listen())
			testkit.Run(t, b.Run)
			// The bystanders answer always, or never. What has a monitor's place has no traffic's.
			hosts := []string{"10.7.0.2", "fd07::2"}
			for _, host := range append([]string{"10.7.0.3"}, hosts...) { // the first: others would go with it
				network.add(host)
			}
			// Two failures in a row, without waiting for the kernel to say again that a port is closed.
			network.sysctl("net/ipv4/icmp_ratelimit", "0")
			network.sysctl("net/ipv6/icmp/ratelimit", "0")
			var sockets []io.Closer
			listen := func() {
				network.inside(func() error {
					for _, host := range hosts {
						datagrams, err := net.ListenPacket("udp", net.JoinHostPort(host, "5300"))
						if err != nil {
							return err
						}
						stream, err := net.Listen("tcp", net.JoinHostPort(host, "8000"))
						if err != nil {
							return err
						}
						sockets = append(sockets, datagrams, stream)
						go func() { _ = http.Serve(stream, http.NotFoundHandler()) }()
					}
					return nil
				})
			}
			closeAll := func() {
				for _, socket := range sockets {
					_ = socket.Close()
				}
				sockets = nil
			}
			t.Cleanup(closeAll)
			e := startEnvoy(t, dir, b.Files(),
				checked("ping", "/PING?timeout_ms=500", nil,
					member{"10.7.0.2:80", "10.7.0.2:80"}, member{"[fd07::2]:80", "[fd07::2]:80"},
					member{"10.7.0.77:80", "10.7.0.3:80"}, member{"10.7.0.3:80", "10.7.0.78:80"}),
				checked("udp", "/UDP-CONNECT?timeout_ms=500", nil,
					member{"10.7.0.2:1", "10.7.0.2:5300"}, member{"[fd07::2]:1", "[fd07::2]:5300"},
					member{"10.7.0.3:1", "10.7.0.78:5300"}),
				checked("http", "/HTTP?timeout_ms=500&method=GET&path=/none&version=1.0&codes=404", nil,
					member{"10.7.0.2:1", "10.7.0.2:8000"}, member{"[fd07::2]:1", "[fd07::2]:8000"},
					member{"10.7.0.3:1", "10.7.0.78:8000"}),
				checked("wrong", "/HTTP?timeout_ms=500&method=GET&path=/none&version=1.0&codes=200-204", nil,
					member{"10.7.0.2:1", "10.7.0.2:8000"}),
				checked("refused", "/PING?timeout_ms=0", nil, member{"10.7.0.3:1", "10.7.0.3:1"}),
			)
			ports := func(up bool) map[string]bool {
				return map[string]bool{
					"udp 10.7.0.2": up, "udp fd07::2": up, "http 10.7.0.2": up, "http fd07::2": up,
					"ping 10.7.0.77": true, "ping 10.7.0.3": false, "udp 10.7.0.3": false, "http 10.7.0.3": false,
					"wrong 10.7.0.2": false, "refused 10.7.0.3": false,
				}
			}
			pings := func(up bool) map[string]bool { return map[string]bool{"ping 10.7.0.2": up, "ping fd07::2": up} }
			e.waitFor(t, pings(true))
			e.waitFor(t, ports(false))
			listen()
			e.waitFor(t, ports(true))
			closeAll()
			e.waitFor(t, ports(false))
			listen()
			e.waitFor(t, ports(true))
			e.waitFor(t, pings(true))
			for _, host := range hosts {
				network.remove(host)
			}
			e.waitFor(t, pings(false))
			e.waitFor(t, ports(false))
			for _, host := range hosts {
				network.add(host)
			}
			closeAll()
			listen()
			e.waitFor(t, pings(true))
			e.waitFor(t, ports(true))
		})
	}
}

// TestEnvoyMissesNoAgent kills bridge after bridge below a member that may not fail once, and then does without.
func TestEnvoyMissesNoAgent(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "probe.sock")
	b := New(Options{Socket: socket})
	must(t, b.Listen())
	once := object{"unhealthy_threshold": 1, "interval": "0.02s", "no_traffic_interval": "0.02s"}
	e := startEnvoy(t, dir, b.Files(), checked("ping", "/PING?timeout_ms=500", once, member{"127.0.0.1:80", "127.0.0.1:80"}))
	holders := func() ([]process.ID, error) { return []process.ID{e.ID}, nil }
	const attempts, failures = "cluster.ping.health_check.attempt", "cluster.ping.health_check.failure"
	for range 5 {
		serving := New(Options{Socket: socket, Holders: holders})
		serving.listener, serving.held = b.listener, b.held
		begin := e.counter(t, attempts)
		ended := make(chan error)
		go func() { ended <- serving.serve(t.Context()) }()
		testkit.Until(t, "checks are made", func() bool { return e.counter(t, attempts) > begin+3 })
		_ = serving.listener.Close() // nothing is taken in any more, as when an agent is stopped by SIGKILL between two checks
		if err := <-ended; err == nil {
			t.Error("serves on without a listener")
		}
		t.Cleanup(serving.pinger.close) // what is under way comes to its end
		begin = e.counter(t, attempts)
		testkit.Until(t, "a check waits", func() bool { return e.counter(t, attempts) > begin })
		b = New(Options{Socket: socket, Holders: holders})
		must(t, b.Listen())
	}
	stop := testkit.Run(t, b.Run)
	e.waitFor(t, map[string]bool{"ping 127.0.0.1": true})
	if failed := e.counter(t, failures); failed > 0 {
		t.Errorf("%d checks failed", failed)
	}
	stop() // the socket goes: what an agent that cannot take over means for a moment
	e.waitFor(t, map[string]bool{"ping 127.0.0.1": false})
}
