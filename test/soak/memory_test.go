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
	// stats counts Envoy's counters, gauges and histograms.
	stats int
}

func (u usage) log(t *testing.T, when string) {
	t.Helper()
	t.Logf("%s: controller %d goroutines, %.1f MiB; Envoy %.2f MiB allocated of %.1f MiB of heap, %d stats", when, u.goroutines,
		float64(u.heap)/mebibyte, float64(u.allocated)/mebibyte, float64(u.envoyHeap)/mebibyte, u.stats)
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
		stats, err := a.stats("")
		u.stats = len(stats)
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
