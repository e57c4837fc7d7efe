package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestTimeUntilOctaviaKnows measures, once or OE_HEALTH_ROUNDS times for each type of monitor, how long after a member's death Octavia
// says ERROR, as part of delay × max_retries_down, and after its return ONLINE, as part of delay × max_retries. It
// asserts that Octavia says so, and nothing of times. test/healthcost has what to compare with.
func TestTimeUntilOctaviaKnows(t *testing.T) {
	t.Parallel()
	c, rounds := shared, 1
	if text := os.Getenv("OE_HEALTH_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("OE_HEALTH_ROUNDS is %q, no number of rounds", text)
		}
	}
	const delay, falls, rises, rest = time.Second, 3, 2, 4 * time.Second
	kinds := []string{"HTTP", "TCP"}
	w := c.ward(t, 31, 2*len(kinds))
	var listeners, pools []fields
	patients := map[string]*patient{}
	for i, kind := range kinds {
		speaks := map[string]string{"HTTP": "http", "TCP": "tcp"}[kind]
		ill := w.admit(t, &patient{name: "ill", address: w.addresses[2*i], speaks: speaks})
		good := w.admit(t, &patient{name: "good", address: w.addresses[2*i+1], speaks: speaks})
		patients[kind] = ill
		monitor := fields{"name": kind, "type": kind, "delay": int(delay / time.Second), "timeout": 1, "max_retries": rises, "max_retries_down": falls}
		if kind == "HTTP" {
			monitor["url_path"] = checkPath
		}
		listeners = append(listeners, listener(kind, kind, 80+i, kind))
		pools = append(pools, pool(kind, kind, []fields{ill.member(), good.member()}, fields{"healthmonitor": monitor}))
	}
	s := c.populate(t, "e2e-detection", listeners, pools)
	s.become(t, "all are well", map[string]string{"lb": "ONLINE", "member HTTP/ill": "ONLINE", "member TCP/ill": "ONLINE"})
	times := map[string][]float64{}
	for range rounds {
		for _, step := range []struct {
			death  bool
			counts time.Duration
			want   string
		}{{true, falls, "ERROR"}, {false, rises, "ONLINE"}} {
			for _, kind := range kinds {
				// While changes go on, Octavia is told of them now and then; this is about one alone. It comes at any moment between two checks.
				time.Sleep(rest + rand.N(delay))
				begin := time.Now()
				switch {
				case !step.death:
					patients[kind].becomes(t, well)
				case kind == "HTTP":
					patients[kind].becomes(t, liar)
				default:
					patients[kind].becomes(t, dead)
				}
				for path := s.memberPath(t, kind, "ill"); ; time.Sleep(20 * time.Millisecond) {
					member, err := s.get(t, "member", path)
					if err != nil {
						t.Fatal(err)
					}
					took := time.Since(begin)
					if member.OperatingStatus == step.want {
						name := fmt.Sprintf("%s %s", kind, step.want)
						times[name] = append(times[name], float64(took)/float64(step.counts*delay))
						break
					}
					if took > healthTime {
						t.Fatalf("%s: the member is %s", kind, member.OperatingStatus)
					}
				}
			}
		}
	}
	for _, kind := range kinds {
		for _, want := range []string{"ERROR", "ONLINE"} {
			of := times[kind+" "+want]
			slices.Sort(of)
			t.Logf("%-4s %-6s median %.2f  p10 %.2f  p90 %.2f  most %.2f  of %d", kind, want,
				of[len(of)/2], of[len(of)/10], of[len(of)*9/10], of[len(of)-1], len(of))
		}
	}
}
