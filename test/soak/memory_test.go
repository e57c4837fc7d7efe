package soak

import (
	"encoding/json"
	"regexp"
	"strconv"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

const mebibyte = 1 << 20

// usage is what must not grow, at one moment. All but the goroutines are bytes.
type usage struct {
	goroutines, heap int
	// allocated is what Envoy has in use; its heap is more, tcmalloc keeps pages.
	allocated, envoyHeap int
	// stats are Envoy's counters and gauges.
	stats map[string]int
}

func (u usage) log(t *testing.T, when string) {
	t.Helper()
	t.Logf("%s: controller %d goroutines, %.1f MiB; Envoy %.2f MiB allocated of %.1f MiB of heap, %d stats", when, u.goroutines,
		float64(u.heap)/mebibyte, float64(u.allocated)/mebibyte, float64(u.envoyHeap)/mebibyte, len(u.stats))
}

// usage waits until nothing drains and looks.
func (k *soak) usage() usage {
	k.t.Helper()
	a := k.w.amphoraOf(k.lb)
	testkit.Eventually(k.t, a.quiet)
	var u usage
	testkit.Eventually(k.t, func() error {
		heap, err := k.w.debug("heap?debug=1&gc=1")
		if err != nil {
			return err
		}
		u.heap = number(k.t, `# HeapAlloc = (\d+)`, heap)
		goroutines, err := k.w.debug("goroutine?debug=1")
		if err != nil {
			return err
		}
		u.goroutines = number(k.t, `total (\d+)`, goroutines)
		var memory struct {
			Allocated int `json:",string"`
			HeapSize  int `json:"heap_size,string"`
		}
		text, err := a.admin("/memory")
		if err != nil {
			return err
		}
		must(k.t, json.Unmarshal([]byte(text), &memory))
		u.allocated, u.envoyHeap = memory.Allocated, memory.HeapSize
		u.stats, err = a.stats("")
		return err
	})
	return u
}

func number(t *testing.T, expression, text string) int {
	t.Helper()
	found := regexp.MustCompile(expression).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s", expression)
	}
	n, err := strconv.Atoi(found[1])
	must(t, err)
	return n
}

// What one moment differs from another by, at the same configuration: buffers of connections that are open, caches.
const (
	noiseGoroutines = 10
	noiseHeap       = 4 * mebibyte
	noiseEnvoy      = 2 * mebibyte
	// noiseStats are of what happens seldom, as an answer with a status that none had before.
	noiseStats = 40
)

// flat fails the test if something has grown. Both halves had as many changes of the same kinds: what is not given back
// grows as much in the second as in the first, what fills up at first does not.
func (k *soak) flat(begin, half, end usage) {
	k.t.Helper()
	if end.goroutines > half.goroutines+noiseGoroutines {
		stacks, _ := k.w.debug("goroutine?debug=1")
		k.t.Errorf("goroutines have grown from %d to %d:\n%s", half.goroutines, end.goroutines, stacks)
	}
	if end.heap > half.heap+half.heap/4+noiseHeap {
		k.t.Errorf("the controller's memory has grown from %d to %d", half.heap, end.heap)
	}
	if first, second := max(half.allocated-begin.allocated, 0), end.allocated-half.allocated; second > first/2+noiseEnvoy {
		k.t.Errorf("Envoy has grown by %d in the first half and by %d in the second", first, second)
	}
	if len(end.stats) > len(half.stats)+noiseStats {
		for name := range half.stats {
			delete(end.stats, name)
		}
		k.t.Errorf("Envoy has more statistics: %v", names(end.stats))
	}
}
