package health

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

// name is a member of a pool.
type name struct{ pool, member string }

// Tracker holds what is known now, and what of it has not been said. It never holds more: of changes that nobody has taken, only the
// newest is there. Its methods are safe for concurrent use.
type Tracker struct {
	wholeEvery time.Duration
	now        func() time.Time
	wake       chan struct{}

	mu sync.Mutex
	// known says that everything of this Envoy has been read once; before, nothing is said.
	known bool
	// places are how members are by cluster, members the worst of that.
	places    map[name]map[string]condition
	members   map[name]condition
	listeners map[string]bool
	// changed are what has to be said. whole says that all has.
	changed          map[name]bool
	changedListeners map[string]bool
	whole            bool
	wholeDue         time.Time
}

func newTracker(wholeEvery time.Duration, now func() time.Time) *Tracker {
	t := &Tracker{wholeEvery: wholeEvery, now: now, wake: make(chan struct{}, 1)}
	t.places, t.members, t.listeners = map[name]map[string]condition{}, map[name]condition{}, map[string]bool{}
	t.clean()
	return t
}

func (t *Tracker) clean() {
	t.changed, t.changedListeners, t.whole = map[name]bool{}, map[string]bool{}, false
}

func (t *Tracker) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// forget is for a new Envoy. What was known stands until all of that one is known.
func (t *Tracker) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known, t.places = false, map[name]map[string]condition{}
}

// set takes up how one member is in one cluster.
func (t *Tracker) set(at place, now condition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := name{at.pool, at.member}
	if t.places[of] == nil {
		t.places[of] = map[string]condition{}
	}
	t.places[of][at.cluster] = now
	if t.known {
		t.say(of, worst(t.places[of]))
	}
}

// worst of how a member is in several clusters.
func worst(places map[string]condition) condition {
	var is condition
	for _, cluster := range slices.Sorted(maps.Keys(places)) {
		if places[cluster].worse(is) {
			is = places[cluster]
		}
	}
	return is
}

// say notes that a member is so.
func (t *Tracker) say(of name, now condition) {
	if before, had := t.members[of]; had && before == now {
		return
	}
	t.members[of] = now
	t.changed[of] = true
	t.nudge()
}

// replace takes up how everything is.
func (t *Tracker) replace(places map[place]condition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.places = map[name]map[string]condition{}
	for at, is := range places {
		of := name{at.pool, at.member}
		if t.places[of] == nil {
			t.places[of] = map[string]condition{}
		}
		t.places[of][at.cluster] = is
	}
	if !t.known {
		t.known, t.whole = true, true
		t.nudge()
	}
	for of := range t.members {
		if t.places[of] == nil { // only the whole can say that
			delete(t.members, of)
			delete(t.changed, of)
			t.whole = true
			t.nudge()
		}
	}
	for of, clusters := range t.places {
		t.say(of, worst(clusters))
	}
}

// Listeners takes up which listeners there are, and whether they are full.
func (t *Tracker) Listeners(full map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, is := range full {
		if was, had := t.listeners[id]; !had || was != is {
			t.changedListeners[id] = true
		}
	}
	for id := range t.listeners {
		if _, is := full[id]; !is {
			t.whole = true
		}
	}
	t.listeners = full
	if t.known && (t.whole || len(t.changedListeners) > 0) {
		t.nudge()
	}
}

// Wake tells that Next has something to say.
func (t *Tracker) Wake() <-chan struct{} { return t.wake }

// Greet begins a new stream, whose other end may know nothing.
func (t *Tracker) Greet() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.whole = true
	t.nudge()
}

// Next returns what has to be said now, nil for nothing.
func (t *Tracker) Next() *agentapiv1.HealthReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known {
		return nil
	}
	now := t.now()
	whole := t.whole || !now.Before(t.wholeDue)
	if !whole && len(t.changed) == 0 && len(t.changedListeners) == 0 {
		return nil
	}
	report := &agentapiv1.HealthReport{Whole: whole}
	members, listeners := slices.Collect(maps.Keys(t.changed)), slices.Collect(maps.Keys(t.changedListeners))
	if whole {
		members, listeners = slices.Collect(maps.Keys(t.members)), slices.Collect(maps.Keys(t.listeners))
		t.wholeDue = now.Add(t.wholeEvery)
	}
	slices.SortFunc(members, func(a, b name) int {
		return cmp.Or(cmp.Compare(a.pool, b.pool), cmp.Compare(a.member, b.member))
	})
	slices.Sort(listeners)
	for _, of := range members {
		is := t.members[of]
		report.Members = append(report.Members, &agentapiv1.MemberHealth{
			PoolId: of.pool, MemberId: of.member, State: is.state, Failure: is.failure,
		})
	}
	for _, id := range listeners {
		report.Listeners = append(report.Listeners, &agentapiv1.ListenerHealth{ListenerId: id, Full: t.listeners[id]})
	}
	t.clean()
	return report
}
