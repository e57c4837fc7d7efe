package statistics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

const (
	// DefaultInterval is that of Octavia's own amphorae ([health_manager] heartbeat_interval).
	DefaultInterval = 10 * time.Second
	// parallel is how many reports are taken up at once.
	parallel = 4
	// maxWaiting bounds the reports of one amphora that wait for the store: the newest, and the last words of Envoys that
	// ended. An Envoy is not started so often that it reaches that.
	maxWaiting = 16
	// storePause is the wait before a report that the store did not take is tried again.
	storePause = time.Second
)

// Store keeps what was counted; *store.Store implements it.
type Store interface {
	UpdateStatistics(ctx context.Context, lbID string, change func(store.Counted)) error
	Statistics(ctx context.Context) (map[string]model.LoadBalancerStatistics, error)
}

// Octavia takes totals; *status.Agent implements it.
type Octavia interface {
	Statistics(ctx context.Context, listeners []status.ListenerStatistics) error
}

// Options are the parts of a Collector.
type Options struct {
	Store   Store
	Octavia Octavia
	Logger  *slog.Logger
	// Registry takes the metrics; nil keeps none.
	Registry prometheus.Registerer
	// Interval is how often Octavia is told; 0 is DefaultInterval.
	Interval time.Duration
}

// Collector takes the amphorae's reports of statistics to the store and to Octavia.
type Collector struct {
	options Options
	metrics metrics
	wake    chan struct{}

	mu sync.Mutex
	// waiting are reports that the store does not have yet, by amphora, oldest first; taking are amphorae whose reports are
	// being taken up.
	waiting map[string]*amphoraReports
	taking  map[string]bool
	// totals are by load balancer and listener; told is what Octavia has.
	totals map[string]map[string]Listener
	told   map[string]status.ListenerStatistics
}

type amphoraReports struct {
	loadBalancerID string
	reports        []*agentapiv1.StatisticsReport
}

// New makes a Collector; nothing runs before Run.
func New(options Options) *Collector {
	if options.Interval == 0 {
		options.Interval = DefaultInterval
	}
	return &Collector{
		options: options, metrics: newMetrics(options.Registry), wake: make(chan struct{}, 1),
		waiting: map[string]*amphoraReports{}, taking: map[string]bool{},
		totals: map[string]map[string]Listener{}, told: map[string]status.ListenerStatistics{},
	}
}

// Report notes what an amphora says and returns at once; it fits amphora.FleetOptions.Statistics.
func (c *Collector) Report(_ context.Context, amphora model.Amphora, report *agentapiv1.StatisticsReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting[amphora.ID]
	if waiting == nil {
		waiting = &amphoraReports{loadBalancerID: amphora.LoadBalancerID}
		c.waiting[amphora.ID] = waiting
	}
	waiting.add(report)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// add puts the report in the place of an older one of the same Envoy, which it includes.
func (r *amphoraReports) add(report *agentapiv1.StatisticsReport) {
	if last := len(r.reports) - 1; last >= 0 && r.reports[last].GetEpoch() == report.GetEpoch() && names(report, r.reports[last]) {
		r.reports[last] = report
		return
	}
	r.reports = append(r.reports, report)
	if len(r.reports) > maxWaiting {
		r.reports = r.reports[1:]
	}
}

// names reports whether the newer report says something of all that the older one does.
func names(newer, older *agentapiv1.StatisticsReport) bool {
	said := make(map[string]bool, len(newer.GetListeners()))
	for _, listener := range newer.GetListeners() {
		said[listener.GetListenerId()] = true
	}
	for _, listener := range older.GetListeners() {
		if !said[listener.GetListenerId()] {
			return false
		}
	}
	return true
}

// Run takes up reports and tells Octavia until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	var workers sync.WaitGroup
	defer workers.Wait()
	slots := make(chan struct{}, parallel)
	ticker := time.NewTicker(c.options.Interval)
	defer ticker.Stop()
	telling := make(chan struct{}, 1)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			select {
			case telling <- struct{}{}: // a slow driver-agent gets the next totals when it has taken these
				workers.Go(func() {
					defer func() { <-telling }()
					c.tell(ctx)
				})
			default:
			}
		case <-c.wake:
			for _, amphoraID := range c.claim() {
				workers.Go(func() {
					select {
					case slots <- struct{}{}:
						defer func() { <-slots }()
						c.takeUp(ctx, amphoraID)
					case <-ctx.Done():
					}
				})
			}
		}
	}
}

// load reads what was counted when another process looked after it. Octavia is told all of it once.
func (c *Collector) load(ctx context.Context) error {
	all, err := c.options.Store.Statistics(ctx)
	if err != nil {
		return fmt.Errorf("read the statistics: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, statistics := range all {
		if _, heard := c.totals[id]; !heard {
			c.totals[id] = sum(statistics)
		}
	}
	return nil
}

// claim returns the amphorae whose reports wait and that nobody takes up.
func (c *Collector) claim() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var claimed []string
	for id := range c.waiting {
		if !c.taking[id] {
			c.taking[id] = true
			claimed = append(claimed, id)
		}
	}
	return claimed
}

// takeUp brings one amphora's reports to the store, in order, until none waits.
func (c *Collector) takeUp(ctx context.Context, amphoraID string) {
	for ctx.Err() == nil {
		lbID, report := c.next(amphoraID)
		if report == nil {
			return
		}
		var totals map[string]Listener
		err := c.options.Store.UpdateStatistics(ctx, lbID, func(counted store.Counted) {
			take(counted, amphoraID, report)
			totals = sum(counted.Statistics)
		})
		switch {
		case err == nil:
			c.taken(lbID, amphoraID, report, totals)
		case errors.Is(err, store.ErrNotFound): // the load balancer is deleted
			c.taken(lbID, amphoraID, report, nil)
		case ctx.Err() == nil:
			c.options.Logger.Warn("cannot keep statistics", "lb", lbID, "amphora", amphoraID, "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(storePause):
			}
		}
	}
}

// next returns the amphora's oldest report. Without one the amphora is given back.
func (c *Collector) next(amphoraID string) (lbID string, report *agentapiv1.StatisticsReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting[amphoraID]
	if waiting == nil {
		delete(c.taking, amphoraID)
		return "", nil
	}
	return waiting.loadBalancerID, waiting.reports[0]
}

// taken drops a report that is in the store, unless a newer one has taken its place.
func (c *Collector) taken(lbID, amphoraID string, report *agentapiv1.StatisticsReport, totals map[string]Listener) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.waiting[amphoraID]
	if len(waiting.reports) > 0 && waiting.reports[0] == report {
		waiting.reports = waiting.reports[1:]
	}
	if len(waiting.reports) == 0 {
		delete(c.waiting, amphoraID)
	}
	c.replace(lbID, totals)
}

// replace takes the place of a load balancer's totals; nil when it is gone.
func (c *Collector) replace(lbID string, totals map[string]Listener) {
	for id := range c.totals[lbID] {
		if _, stays := totals[id]; !stays {
			delete(c.told, id)
		}
	}
	if totals == nil {
		delete(c.totals, lbID)
		return
	}
	c.totals[lbID] = totals
}

// Forget drops what is held of a load balancer that is deleted; the store has dropped it already.
func (c *Collector) Forget(lbID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replace(lbID, nil)
}
