package store

import (
	"bytes"
	"container/list"
	"encoding/json"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// maxTrees is how many bytes of text the kept trees have together. Decoded, they take about as much once more.
const maxTrees = 64 << 20

// trees keeps decoded trees with what they were decoded from, so that a tree is decoded once and not with each look at it.
// What is kept is only given out for the very same text and secrets, read from the database anew each time: whether
// another controller, another key or a backup put them there does not matter. What it gives out is shared, and read only.
type trees struct {
	limit   int
	metrics treeMetrics

	mu    sync.Mutex
	bytes int
	byID  map[string]*list.Element
	// order has the one that was used last first.
	order *list.List
}

// keptTree is a tree and the columns that it is made of.
type keptTree struct {
	lbID, text string
	secrets    secretsRow
	tree       *model.LoadBalancer
}

func newTrees(limit int, registry prometheus.Registerer) *trees {
	return &trees{limit: limit, metrics: newTreeMetrics(registry), byID: map[string]*list.Element{}, order: list.New()}
}

// get returns the tree of that text and those secrets, nil if it is not kept.
func (t *trees) get(lbID, text string, secrets *secretsRow) *model.LoadBalancer {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.kept(lbID)
	if kept == nil || kept.text != text || !kept.secrets.same(secrets) {
		t.metrics.reads.WithLabelValues("decoded").Inc()
		return nil
	}
	t.order.MoveToFront(t.byID[lbID])
	t.metrics.reads.WithLabelValues("kept").Inc()
	return kept.tree
}

// published returns the tree of that text, whatever its secrets: for a look at its objects.
func (t *trees) published(lbID, text string) *model.LoadBalancer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kept := t.kept(lbID); kept != nil && kept.text == text {
		return kept.tree
	}
	return nil
}

func (t *trees) kept(lbID string) *keptTree {
	if element := t.byID[lbID]; element != nil {
		kept, _ := element.Value.(*keptTree)
		return kept
	}
	return nil
}

// put keeps a tree, which nobody may change any more, in the place of the one before.
func (t *trees) put(lbID, text string, secrets *secretsRow, tree *model.LoadBalancer) {
	tree.Secrets() // makes the places that it lacks: later nobody may
	kept := &keptTree{lbID: lbID, text: text, tree: tree}
	if secrets != nil {
		kept.secrets = *secrets
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(lbID)
	if kept.size() > t.limit {
		return
	}
	t.byID[lbID] = t.order.PushFront(kept)
	t.bytes += kept.size()
	for t.bytes > t.limit {
		if last, ok := t.order.Back().Value.(*keptTree); ok {
			t.remove(last.lbID)
		}
	}
	t.metrics.bytes.Set(float64(t.bytes))
}

func (t *trees) drop(lbID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(lbID)
	t.metrics.bytes.Set(float64(t.bytes))
}

func (t *trees) remove(lbID string) {
	if kept := t.kept(lbID); kept != nil {
		t.order.Remove(t.byID[lbID])
		delete(t.byID, lbID)
		t.bytes -= kept.size()
	}
}

func (k *keptTree) size() int { return len(k.text) + len(k.secrets.Sealed) }

// same compares what trees are made of. A row is sealed with new random bytes each time that it is written.
func (r *secretsRow) same(other *secretsRow) bool {
	if other == nil {
		return r.KeyID == ""
	}
	return r.KeyID == other.KeyID && bytes.Equal(r.Sealed, other.Sealed)
}

// ChangedTrees returns the load balancers whose kept trees are not any more what they were decoded from: somebody changed
// what LoadBalancer had him only read. It is for tests.
func (s *Store) ChangedTrees() []string {
	s.trees.mu.Lock()
	defer s.trees.mu.Unlock()
	var changed []string
	for id := range s.trees.byID {
		kept := s.trees.kept(id)
		if text, err := json.Marshal(kept.tree); err != nil || string(text) != kept.text {
			changed = append(changed, id)
		}
	}
	slices.Sort(changed)
	return changed
}

type treeMetrics struct {
	reads *prometheus.CounterVec
	bytes prometheus.Gauge
}

func newTreeMetrics(registry prometheus.Registerer) treeMetrics {
	m := treeMetrics{
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "octavia_envoy_store_trees_read_total",
			Help: "Reads of a stored tree, by whether it was kept or had to be decoded.",
		}, []string{"from"}),
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "octavia_envoy_store_trees_bytes",
			Help: "Text of the trees that are kept decoded, in bytes.",
		}),
	}
	for _, from := range []string{"kept", "decoded"} {
		m.reads.WithLabelValues(from) // shown as 0 before the first
	}
	if registry != nil {
		registry.MustRegister(m.reads, m.bytes)
	}
	return m
}
