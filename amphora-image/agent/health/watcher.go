package health

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

const (
	// lookEvery is how often the log is looked at. Envoy writes to it several times a second.
	lookEvery = 100 * time.Millisecond
	// reconcileEvery is how often Envoy is asked whether what is known is so; at any rate every readEvery, all of it.
	reconcileEvery, readEvery = 10 * time.Second, time.Minute
	// restFor is how many times as long as a reading took the next one has to wait: 10,000 members take Envoy's main thread a part
	// of a second, in which it takes up nothing that the controller sends.
	restFor = 10
	// DefaultWholeEvery is the time between two whole reports.
	DefaultWholeEvery = time.Minute
)

// Envoy is what is asked; *envoyadmin.Client is one.
type Envoy interface {
	State(ctx context.Context) (string, error)
	Stats(ctx context.Context, filter string) (map[string]uint64, error)
	Clusters(ctx context.Context) ([]envoyadmin.Cluster, error)
	CheckedClusters(ctx context.Context) (map[string]bool, error)
}

// Options of a Watcher.
type Options struct {
	// Dir is Envoy's working directory, where its log is.
	Dir   string
	Envoy Envoy
	// Process is the Envoy that runs now; the zero ID when none does.
	Process func() process.ID
	// WholeEvery is the time between two whole reports; 0 is DefaultWholeEvery. MaxLog is the size in bytes at which the log is
	// emptied; 0 is 4 MiB.
	WholeEvery time.Duration
	MaxLog     int64
	Logger     *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Watcher follows one Envoy after the other.
type Watcher struct {
	*Tracker

	options Options
	// asked says that Envoy has been configured anew.
	asked chan struct{}

	// mu is held while the log is read, or forgotten.
	mu   sync.Mutex
	tail tail
	// heard are the last events of this Envoy, by member and cluster.
	heard map[place]condition

	// of is the process that the rest is about.
	of process.ID
	// steady is what the counters were at the last whole reading.
	steady map[string]uint64
	// lookDue and readDue are when Envoy is asked again: whether anything has changed; for everything.
	lookDue, readDue time.Time
	// again says that the log has lost something.
	again  bool
	failed bool
}

// New returns a Watcher of an Envoy that may run already.
func New(options Options) *Watcher {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.WholeEvery == 0 {
		options.WholeEvery = DefaultWholeEvery
	}
	if options.MaxLog == 0 {
		options.MaxLog = maxLog
	}
	return &Watcher{
		Tracker: newTracker(options.WholeEvery, options.Now), options: options, asked: make(chan struct{}, 1),
		heard: map[place]condition{},
		tail:  tail{path: filepath.Join(options.Dir, translate.HealthLog), max: options.MaxLog, whole: true},
	}
}

// Starting has to be called before an Envoy is started: what the last one wrote is over.
func (w *Watcher) Starting() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = map[place]condition{}
	w.forget()
	return w.tail.restart()
}

// Configured says that Envoy has been configured anew.
func (w *Watcher) Configured() {
	select {
	case w.asked <- struct{}{}:
	default:
	}
}

// Run watches until ctx is done. Troubles are logged and tried again.
func (w *Watcher) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tail.close()
	}()
	for {
		anew := false
		select {
		case <-ctx.Done():
			return nil
		case <-w.asked:
			anew = true
		case <-ticker.C:
		}
		if err := w.look(ctx, anew); err != nil && ctx.Err() == nil {
			if !w.failed {
				w.options.Logger.Warn("cannot tell how members are", "error", err)
			}
			w.failed = true
		} else {
			w.failed = false
		}
	}
}

// look reads the log, and asks Envoy when that is due.
func (w *Watcher) look(ctx context.Context, anew bool) error {
	if id := w.options.Process(); id != w.of {
		w.of, w.steady = id, nil
		w.lookDue, w.readDue = time.Time{}, time.Time{}
		w.forget()
	}
	cut, err := w.read()
	if w.again = w.again || cut; err != nil {
		return err
	}
	now := w.options.Now()
	if anew || w.again {
		w.lookDue = time.Time{}
	}
	if w.of == (process.ID{}) || now.Before(w.lookDue) {
		return nil
	}
	w.lookDue = now.Add(time.Second) // if it fails
	if err := w.reconcile(ctx, anew || w.again || !now.Before(w.readDue)); err != nil {
		return err
	}
	w.again = false
	return nil
}

// read takes up the events that are new.
func (w *Watcher) read() (cut bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tail.read(func(line []byte) {
		at, now, is, err := parse(line)
		if err != nil {
			w.options.Logger.Debug("odd line in Envoy's log of health checks", "error", err)
		}
		if is {
			w.heard[at] = now
			w.set(at, now)
		}
	})
}

// statsFilter names what changes when anything that a reading shows does.
const statsFilter = `^cluster\.[^.]+\.(membership_(healthy|total)|update_success)$`

// reconcile reads how every member is, unless nothing can have changed.
func (w *Watcher) reconcile(ctx context.Context, surely bool) error {
	begin := w.options.Now()
	state, err := w.options.Envoy.State(ctx)
	if err != nil {
		return err
	}
	if state == envoyadmin.StatePreInitializing || state == envoyadmin.StateInitializing {
		return nil // what it has not got yet would be taken for gone
	}
	stats, err := w.options.Envoy.Stats(ctx, statsFilter)
	if err != nil {
		return err
	}
	if surely || !maps.Equal(stats, w.steady) {
		if err := w.readAll(ctx); err != nil {
			return err
		}
		w.steady, w.readDue = stats, begin.Add(readEvery)
	}
	end := w.options.Now()
	w.lookDue = end.Add(max(reconcileEvery, restFor*end.Sub(begin)))
	return nil
}

func (w *Watcher) readAll(ctx context.Context) error {
	checked, err := w.options.Envoy.CheckedClusters(ctx)
	if err != nil {
		return err
	}
	var clusters []envoyadmin.Cluster
	if len(checked) > 0 {
		if clusters, err = w.options.Envoy.Clusters(ctx); err != nil {
			return err
		}
	}
	if w.options.Process() != w.of {
		return nil // who knows whose that was
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.heard
	places, heard := map[place]condition{}, map[place]condition{}
	for i := range clusters {
		cluster := &clusters[i]
		if !checked[cluster.Name] {
			continue
		}
		for j := range cluster.Hosts {
			host := &cluster.Hosts[j]
			pool, member, known := translate.MemberOfEndpoint(host.Name)
			if !known {
				continue
			}
			at := place{cluster: cluster.Name, pool: pool, member: member}
			last, was := before[at]
			places[at] = w.condition(host, last)
			if was {
				heard[at] = last
			}
		}
	}
	w.heard = heard
	w.replace(places)
	return nil
}

// condition is how a host is by Envoy's list, and by what its last event told, if there was one.
func (w *Watcher) condition(host *envoyadmin.Host, last condition) condition {
	switch {
	case !host.FailedCheck:
		return condition{state: agentapiv1.MemberHealth_UP}
	case last.state == agentapiv1.MemberHealth_DOWN:
		return last
	case host.PendingCheck, w.tail.whole:
		// A host counts as failed until its first check has ended, of which there would be an event.
		return condition{state: agentapiv1.MemberHealth_UNCHECKED}
	case host.CheckTimedOut:
		return condition{agentapiv1.MemberHealth_DOWN, "NETWORK_TIMEOUT"}
	}
	return condition{state: agentapiv1.MemberHealth_DOWN}
}
