package probe

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// BenchmarkChecks says what checks cost: members that Envoy has checked each second, all up or none, and the processor time
// of one check in Envoy and in the bridge. The bridge is in the process of the benchmark, with what is little of the
// benchmark itself. README.md has figures. Each takes some seconds; -benchtime 1x is right.
func BenchmarkChecks(b *testing.B) {
	type kind struct {
		name, path string
		lost       bool
		members    int
	}
	for _, kind := range []kind{
		{"none", "", false, 0},
		{"TCP by Envoy", "", false, 1000},
		{"PING", "/PING?timeout_ms=1000", false, 1000},
		{"PING lost", "/PING?timeout_ms=1000", true, 1000},
		{"UDP-CONNECT", "/UDP-CONNECT?timeout_ms=1000", false, 1000},
		{"HTTP 1.0", "/HTTP?timeout_ms=1000&method=GET&path=/&version=1.0&codes=200", false, 1000},
		{"PING", "/PING?timeout_ms=5000", false, 10000},
		{"PING lost", "/PING?timeout_ms=5000", true, 10000},
	} {
		for mode, groups := range modes() {
			if (kind.path == "" || kind.path[1] != 'P') && mode != "raw" {
				continue
			}
			b.Run(fmt.Sprintf("%s/%d/%s", kind.name, kind.members, mode), func(b *testing.B) {
				allowPingSockets(b, groups)
				benchmarkChecks(b, kind.path, kind.lost, kind.members)
			})
		}
	}
}

func benchmarkChecks(b *testing.B, path string, lost bool, count int) {
	network := newMachines(b)
	network.add("10.7.0.2")
	network.sysctl("net/ipv4/icmp_ratelimit", "0")
	answerAll(b, network, "10.7.0.2:8000")
	members := make([]member, count)
	for i := range members {
		target := "10.7.0.2:8000"
		if lost {
			target = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 7, byte(1 + i/250), byte(1 + i%250)}), 8000).String()
		}
		members[i] = member{fmt.Sprintf("10.8.%d.%d:80", i/250, 1+i%250), target}
	}
	dir := b.TempDir()
	bridge := New(Options{Socket: filepath.Join(dir, "probe.sock")})
	must(b, bridge.Listen())
	testkit.Run(b, bridge.Run)
	every := "1s"
	if count > 1000 {
		every = "5s"
	}
	cluster := checked("all", path, object{
		"interval": every, "no_traffic_interval": every, "unhealthy_interval": every, "initial_jitter": every, "timeout": "10s",
	}, members...)
	if path == "" {
		delete(cluster["health_checks"].([]object)[0], "http_health_check")
		cluster["health_checks"].([]object)[0]["tcp_health_check"] = object{}
		for _, endpoint := range cluster["load_assignment"].(object)["endpoints"].([]object)[0]["lb_endpoints"].([]object) {
			inner := endpoint["endpoint"].(object)
			inner["health_check_config"] = object{
				"address": object{"socket_address": object{"address": "10.7.0.2", "port_value": 8000}},
			}
		}
	}
	e := startEnvoy(b, dir, bridge.Files(), cluster)
	self, err := process.Of(os.Getpid())
	must(b, err)
	attempts := func() int { return e.counter(b, "cluster.all.health_check.attempt") }
	testkit.Until(b, "each has been checked", func() bool { return attempts() >= count })
	failed := e.counter(b, "cluster.all.health_check.failure")
	begin, begun, inEnvoy, here := time.Now(), attempts(), e.CPU(), self.CPU()
	const span = 10 * time.Second
	<-time.After(span)
	seconds, checks := time.Since(begin).Seconds(), float64(attempts()-begun)
	inEnvoy, here = e.CPU()-inEnvoy, self.CPU()-here
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(checks/seconds, "checks/s")
	b.ReportMetric(100*inEnvoy.Seconds()/seconds, "%core-envoy")
	b.ReportMetric(100*here.Seconds()/seconds, "%core-bridge")
	b.ReportMetric(float64(e.Memory())/(1<<20), "MiB-envoy")
	b.ReportMetric(float64(self.Memory())/(1<<20), "MiB-bridge")
	b.ReportMetric(float64(e.counter(b, "cluster.all.health_check.failure")-failed), "failed")
}

// answerAll takes datagrams, and connections of which it answers the first line.
func answerAll(b *testing.B, network *machines, place string) {
	b.Helper()
	network.inside(func() error {
		datagrams, err := net.ListenPacket("udp", place)
		if err != nil {
			return err
		}
		b.Cleanup(func() { _ = datagrams.Close() })
		stream, err := net.Listen("tcp", place)
		if err != nil {
			return err
		}
		b.Cleanup(func() { _ = stream.Close() })
		go func() {
			for {
				connection, err := stream.Accept()
				if err != nil {
					return
				}
				go func() {
					defer connection.Close()
					if head(connection) != "" { // of Envoy's checks by TCP nothing comes
						_, _ = connection.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
					}
				}()
			}
		}()
		return nil
	})
}
