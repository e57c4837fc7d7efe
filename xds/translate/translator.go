package translate

import (
	"sync"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// worthRemembering is from how many objects on a load balancer is remembered: a smaller one is translated and marshalled in
	// 2 ms, and most are smaller, so that nothing is kept of them.
	worthRemembering = 50
	// mostRemembered bounds the objects of all load balancers that are remembered. An object takes 4 KiB at most, a member of a
	// large pool 0.7: 200 MB in the worst case.
	mostRemembered = 50_000
)

// Translator translates load balancers again and again, each time only what has changed of them: a listener or pool that is, in
// all that it depends on, as it was the last time has the same resources, and these are not marshalled again. What comes out
// is to the byte what the function LoadBalancer returns.
//
// What it keeps is bounded: what was used longest ago is forgotten. Its resources are shared, so nobody may change them.
type Translator struct {
	// worth and most are worthRemembering and mostRemembered, but in tests.
	worth, most int

	mu    sync.Mutex
	known map[string]*remembered
	// size is that of all known, and turn counts the translations.
	size, turn int
}

// remembered is the last translation of a load balancer: of how many objects, and in which turn.
type remembered struct {
	parts      parts
	size, turn int
}

// NewTranslator returns one that remembers nothing yet.
func NewTranslator() *Translator {
	return &Translator{worth: worthRemembering, most: mostRemembered, known: map[string]*remembered{}}
}

// LoadBalancer is the function of that name.
func (t *Translator) LoadBalancer(lb *model.LoadBalancer) (*Resources, error) {
	size := objects(lb)
	if size < t.worth || size > t.most {
		if lb != nil {
			t.Forget(lb.ID)
		}
		return LoadBalancer(lb)
	}
	resources, parts, err := translate(lb, t.before(lb.ID))
	t.remember(lb.ID, parts, size)
	return resources, err
}

// objects counts what the resources of a load balancer are made of.
func objects(lb *model.LoadBalancer) int {
	if lb == nil {
		return 0
	}
	count := len(lb.Listeners) + len(lb.Pools)
	for i := range lb.Listeners {
		count += len(lb.Listeners[i].L7Policies)
	}
	for i := range lb.Pools {
		count += len(lb.Pools[i].Members)
	}
	return count
}

func (t *Translator) before(id string) parts {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.known[id]; known != nil {
		return known.parts
	}
	return nil
}

func (t *Translator) remember(id string, parts parts, size int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(id)
	t.turn++
	t.known[id] = &remembered{parts: parts, size: size, turn: t.turn}
	t.size += size
	for t.size > t.most {
		oldest := id
		for other, known := range t.known {
			if known.turn < t.known[oldest].turn {
				oldest = other
			}
		}
		t.forget(oldest)
	}
}

// Forget drops what is known of a load balancer, which is gone.
func (t *Translator) Forget(loadBalancerID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(loadBalancerID)
}

func (t *Translator) forget(id string) {
	if known := t.known[id]; known != nil {
		t.size -= known.size
		delete(t.known, id)
	}
}
