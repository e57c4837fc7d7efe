package healthcost

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

const (
	// checkedMembers are checked once a second each, for so long.
	checkedMembers = 1000
	measured       = 30 * time.Second
)

// BenchmarkChecks reports the CPU time of each proxy for checking 1,000 members once a second, less what it takes with none
// of them checked: of a second, in milliseconds, and for a check, in microseconds; then Envoy's by HAProxy's.
func BenchmarkChecks(b *testing.B) {
	for _, kind := range []string{model.HealthMonitorHTTP, model.HealthMonitorTCP} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				cost := map[string]float64{}
				for i, name := range []string{"HAProxy", "Envoy"} {
					// A port of its own for each proxy, at every address that begins with 127.
					checks := newChecked(b, kind, address("0.0.0.0", checkPort+10*(1+i)))
					members := make([]model.Member, checkedMembers)
					for j := range members {
						members[j] = member(fmt.Sprintf("m%04d", j), home(j), clientPort, checkPort+10*(1+i))
					}
					monitored, plain := pool("p", kind, falls, rises, members...), pool("p", kind, falls, rises, members...)
					plain.HealthMonitor = nil
					vip := fmt.Sprintf("127.77.%d.", 1+i)
					start := map[string]func(testing.TB, *model.LoadBalancer) *proxy{"HAProxy": startHAProxy, "Envoy": startEnvoy}[name]
					busy, idle := start(b, loadBalancer(vip+"1", monitored)), start(b, loadBalancer(vip+"2", plain))
					// HAProxy resets a connection that it checks by TCP before it is complete: nobody accepts it.
					counts := kind == model.HealthMonitorHTTP || name == "Envoy"
					if counts {
						testkit.Until(b, "each member was checked thrice", func() bool { return checks.count.Load() > 3*checkedMembers })
					} else {
						time.Sleep(5 * delay)
					}
					before, beforeIdle, count, begin := testkit.CPU(b, busy.pid), testkit.CPU(b, idle.pid), checks.count.Load(), time.Now()
					time.Sleep(measured)
					took, counted := time.Since(begin), float64(checks.count.Load()-count)
					spent := float64(testkit.CPU(b, busy.pid) - before - (testkit.CPU(b, idle.pid) - beforeIdle))
					due := checkedMembers * took.Seconds() / delay.Seconds()
					if counts {
						require.InEpsilon(b, due, counted, 0.15, "checks that %s made", name)
					}
					cost[name] = spent / due
					b.Logf("%s, %s: %.1f ms/s, %.1f µs a check", kind, name, spent/took.Seconds()/1e6, cost[name]/1e3)
					busy.stop()
					idle.stop()
				}
				b.ReportMetric(cost["HAProxy"]/1e3, "HAProxy-µs/check")
				b.ReportMetric(cost["Envoy"]/1e3, "Envoy-µs/check")
				b.ReportMetric(cost["Envoy"]/cost["HAProxy"], "Envoy/HAProxy")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}
