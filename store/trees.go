package store

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/lru"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// maxTrees is how many bytes of text the kept trees have together. Decoded, they take about as much once more.
const maxTrees = 64 << 20

// trees keeps decoded trees with what they were decoded from, so that a tree is decoded once and not with each look at it.
// What is kept is only given out for the very same text and secrets, read from the database anew each time: whether
// another controller, another key or a backup put them there does not matter. What it gives out is shared, and read only.
type trees struct {
	kept    *lru.Cache[*keptTree]
	metrics treeMetrics
}

// keptTree is a tree and the columns that it is made of.
type keptTree struct {
	text    string
	secrets secretsRow
	tree    *model.LoadBalancer
}

func newTrees(limit int, registry prometheus.Registerer) *trees {
	return &trees{kept: lru.New[*keptTree](limit), metrics: newTreeMetrics(registry)}
}

// get returns the tree of that text and those secrets, nil if it is not kept.
func (t *trees) get(lbID, text string, secrets *secretsRow) *model.LoadBalancer {
	kept := t.kept.Get(lbID)
	if kept == nil || kept.text != text || !kept.secrets.same(secrets) {
		t.metrics.reads.WithLabelValues("decoded").Inc()
		return nil
	}
	t.metrics.reads.WithLabelValues("kept").Inc()
	return kept.tree
}

// published returns the tree of that text, whatever its secrets: for a look at its objects.
func (t *trees) published(lbID, text string) *model.LoadBalancer {
	if kept := t.kept.Get(lbID); kept != nil && kept.text == text {
		return kept.tree
	}
	return nil
}

// put keeps a tree, which nobody may change any more, in the place of the one before.
func (t *trees) put(lbID, text string, secrets *secretsRow, tree *model.LoadBalancer) {
	tree.Secrets() // makes the places that it lacks: later nobody may
	kept := &keptTree{text: text, tree: tree}
	if secrets != nil {
		kept.secrets = *secrets
	}
	t.metrics.bytes.Set(float64(t.kept.Put(lbID, kept, kept.size())))
}

func (t *trees) drop(lbID string) { t.metrics.bytes.Set(float64(t.kept.Drop(lbID))) }

func (k *keptTree) size() int { return len(k.text) + len(k.secrets.Sealed) }

// same compares what trees are made of. A row is sealed with new random bytes each time that it is written.
func (r *secretsRow) same(other *secretsRow) bool {
	if other == nil {
		return r.KeyID == ""
	}
	return r.KeyID == other.KeyID && bytes.Equal(r.Sealed, other.Sealed)
}

// ChangedTrees returns the load balancers whose kept trees or reported statuses are not any more what they were decoded from:
// somebody changed what LoadBalancer or Health had him only read. It is for tests.
func (s *Store) ChangedTrees() []string {
	var changed []string
	for _, id := range s.trees.kept.IDs() {
		kept := s.trees.kept.Get(id)
		if kept == nil {
			continue // others may use the store
		}
		if text, err := json.Marshal(kept.tree); err != nil || string(text) != kept.text {
			changed = append(changed, id)
		}
	}
	for _, id := range s.reported.IDs() {
		kept := s.reported.Get(id)
		if kept == nil {
			continue
		}
		if text, err := encodeStatuses(kept.statuses); err != nil || text != kept.text {
			changed = append(changed, id)
		}
	}
	slices.Sort(changed)
	return slices.Compact(changed)
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
