package statistics

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

const (
	// readEvery is how often Envoy is read: what it counted since is lost when it is killed.
	readEvery = time.Second
	// restFor is how many times as long as a reading took the next one has to wait, so that Envoy's main thread, which also takes up
	// what the controller sends, spends a tenth of its time on it at most.
	restFor = 10
	// DefaultReportEvery is the time between two reports.
	DefaultReportEvery = 10 * time.Second
)

// Envoy is what is asked; *envoyadmin.Client is one.
type Envoy interface {
	Stats(ctx context.Context, filter string) (map[string]uint64, error)
	Histograms(ctx context.Context, filter, name, label string) (map[string]*envoyadmin.Histogram, error)
	ConnectionLimits(ctx context.Context, listeners []string) (map[string]uint64, error)
	Listeners(ctx context.Context) ([]string, error)
}

// Options of a Collector.
type Options struct {
	Envoy Envoy
	// Process is the Envoy that runs now; the zero ID when none does.
	Process func() process.ID
	// File keeps what cannot be read again when another agent takes over this Envoy; "" keeps nothing.
	File string
	// ReportEvery is the time between two reports; 0 is DefaultReportEvery. ReadEvery, for tests; 0 is a second.
	ReportEvery, ReadEvery time.Duration
	// Full is called with every reading: for each listener that Envoy has, whether it is at its connection limit. Configured is called when Envoy has been
	// configured anew. Either may be nil.
	Full       func(map[string]bool)
	Configured func()
	Logger     *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Collector follows one Envoy after the other. Its methods are safe for concurrent use.
type Collector struct {
	options Options
	wake    chan struct{}

	// reading is held while Envoy is read: readings are taken up in their order.
	reading    sync.Mutex
	configured map[string]uint64
	limits     limits
	timesDue   time.Time
	failed     bool

	mu      sync.Mutex
	current *epoch
	// ended are the last words of Envoys that ended, oldest first: one that may have been sent at most, and all the others in one.
	ended []lastWord
	// due says that Next has something to say, if anything has changed. nextDue is when it will be by itself.
	due     bool
	nextDue time.Time
	// said is the last report, pending what waits to be acknowledged.
	said    *agentapiv1.StatisticsReport
	pending []pending
}

// lastWord is the final report of an epoch.
type lastWord struct {
	report *agentapiv1.StatisticsReport
	// sent says that some of the epoch may have reached the controller.
	sent bool
}

// pending is a report that has been handed out.
type pending struct {
	mark uint64
	said *agentapiv1.StatisticsReport
}

// New returns a Collector that goes on where the agent before this one ended.
func New(options Options) *Collector {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.ReadEvery == 0 {
		options.ReadEvery = readEvery
	}
	if options.ReportEvery == 0 {
		options.ReportEvery = DefaultReportEvery
	}
	c := &Collector{options: options, wake: make(chan struct{}, 1)}
	if err := c.load(); err != nil {
		options.Logger.Warn("cannot read what was counted before", "error", err)
	}
	return c
}

// Run reads Envoy until ctx is done.
func (c *Collector) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		begin := c.options.Now()
		c.Read(ctx)
		rest := max(c.options.ReadEvery, restFor*c.options.Now().Sub(begin))
		select {
		case <-ctx.Done():
		case <-time.After(rest):
		}
	}
	return nil
}

// epochOf names a process for ever.
func epochOf(id process.ID) string {
	if id == (process.ID{}) {
		return ""
	}
	return fmt.Sprintf("%s/%d/%d", id.Boot, id.PID, id.Start)
}

// Read reads Envoy once; without one, what was read of the last is its last word.
func (c *Collector) Read(ctx context.Context) {
	c.reading.Lock()
	defer c.reading.Unlock()
	before := epochOf(c.options.Process())
	c.begin(before)
	if before == "" {
		return
	}
	stats, err := c.options.Envoy.Stats(ctx, filter())
	if err != nil {
		c.complain(ctx, err)
		return
	}
	if before != epochOf(c.options.Process()) {
		return // who knows whose that was
	}
	c.failed = false
	listeners, configured := split(stats)
	c.take(before, listeners)
	anew := c.configured == nil || !maps.Equal(configured, c.configured)
	c.configured = configured
	if c.options.Full != nil {
		full, err := c.limits.full(ctx, c.options.Envoy, listeners, anew, c.options.Now())
		if err != nil {
			c.configured = nil // again
			c.complain(ctx, err)
		} else {
			c.options.Full(full)
		}
	}
	if anew && c.options.Configured != nil {
		c.options.Configured()
	}
	if now := c.options.Now(); !now.Before(c.timesDue) {
		c.readTimes(ctx, before)
		c.timesDue = now.Add(max(c.options.ReportEvery/2, restFor*c.options.Now().Sub(now)))
	}
}

// readTimes reads the histograms.
func (c *Collector) readTimes(ctx context.Context, before string) {
	histograms, err := c.options.Envoy.Histograms(ctx, timesFilter, timesName, timesLabel)
	if err != nil {
		c.complain(ctx, err)
		return
	}
	if before != epochOf(c.options.Process()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	anew := false
	for id := range c.current.Listeners {
		var counts family
		var bounds []float64
		if histogram := histograms[id]; histogram != nil {
			counts, bounds = times(histogram)
		}
		anew = c.current.takeTimes(id, counts, bounds) || anew
	}
	if anew {
		c.save()
	}
}

// begin makes an epoch the current one. What was there is over.
func (c *Collector) begin(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.current.ID == id {
		return
	}
	if c.current != nil {
		c.end()
	}
	c.configured, c.timesDue = nil, time.Time{}
	if id != "" {
		c.current = newEpoch(id)
	}
	c.save()
}

// end closes the current epoch; c.mu is held.
func (c *Collector) end() {
	last := lastWord{report: c.current.report(true), sent: c.current.sent}
	c.current = nil
	if !last.sent && len(last.report.GetListeners()) == 0 {
		return
	}
	if n := len(c.ended); n > 0 && !last.sent && !c.ended[n-1].sent {
		merge(c.ended[n-1].report, last.report) // an Envoy that ends again and again while nobody listens
	} else {
		c.ended = append(c.ended, last)
	}
	c.nudge()
}

func (c *Collector) take(id string, listeners map[string]map[string]family) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil || c.current.ID != id {
		return
	}
	if c.current.take(listeners) {
		c.save()
	}
	if now := c.options.Now(); !now.Before(c.nextDue) {
		c.nextDue = now.Add(c.options.ReportEvery)
		c.nudge()
	}
}

// nudge makes something due; c.mu is held.
func (c *Collector) nudge() {
	c.due = true
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Collector) complain(ctx context.Context, err error) {
	if !c.failed && ctx.Err() == nil {
		c.options.Logger.Warn("cannot read Envoy's counters", "error", err)
	}
	c.failed = true
}

// Wake tells that Next may have something to say.
func (c *Collector) Wake() <-chan struct{} { return c.wake }

// Greet begins a new stream: whatever was not acknowledged may not have been heard.
func (c *Collector) Greet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending, c.said = nil, nil
	c.nudge()
}

// Hurry reads Envoy and makes that due.
func (c *Collector) Hurry(ctx context.Context) {
	c.Read(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nudge()
}

// Next returns the report to send now, nil for none. Mark is that of the acknowledgement that will say that it was heard: the
// sequence number of the next heartbeat. An Envoy's last word has to be heard before anything of the next one is said, or
// an epoch that is over could come back.
func (c *Collector) Next(mark uint64) *agentapiv1.StatisticsReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.due {
		return nil
	}
	var report *agentapiv1.StatisticsReport
	if len(c.ended) > 0 {
		if len(c.pending) > 0 && c.pending[0].said == c.ended[0].report {
			return nil // due when that is acknowledged
		}
		c.ended[0].sent = true
		report = c.ended[0].report
		c.pending = c.pending[:0]
	} else if c.current != nil && c.current.taken {
		report = c.current.report(false)
		if proto.Equal(report, c.said) {
			report = nil
		} else {
			c.current.sent = true
			c.said = report
		}
	}
	c.due = false
	if report != nil {
		c.pending = append(c.pending, pending{mark: mark, said: report})
	}
	return report
}

// Acknowledged says that everything was heard that was said before this heartbeat.
func (c *Collector) Acknowledged(sequence uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) > 0 && c.pending[0].mark <= sequence {
		heard := c.pending[0].said
		c.pending = c.pending[1:]
		if len(c.ended) > 0 && c.ended[0].report == heard {
			c.ended = c.ended[1:]
			c.save()
			c.nudge()
			continue
		}
		if c.current != nil && c.current.ID == heard.GetEpoch() {
			c.current.heard(heard)
		}
	}
}
