package soak

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// answerIn is how long a client waits for one answer: longer than anything that is done to Envoy, on a machine that is busy.
const answerIn = 30 * time.Second

// crowd is clients of several kinds, of which each exchange is counted.
type crowd struct {
	t       *testing.T
	ctx     context.Context
	stop    func()
	running sync.WaitGroup
	kinds   map[string]*tally
}

// tally counts what the clients of one kind did.
type tally struct {
	done, failed atomic.Int64
	// mayFail is for those that something is done to which ends connections by design.
	mayFail bool
	first   sync.Once
	why     string
}

// client makes exchanges, one after the other; open makes what they go by.
type client func(ctx context.Context) (exchange func() error, end func(), err error)

func startCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{t: t, kinds: map[string]*tally{}}
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithCancel(context.Background())
	c.stop = sync.OnceFunc(func() { cancel(); c.running.Wait() })
	t.Cleanup(c.stop)
	return c
}

// join lets clients of a kind make an exchange every so often until the crowd stops. After a failure they open anew.
func (c *crowd) join(kind string, clients int, every time.Duration, open client) *tally {
	count := &tally{}
	c.kinds[kind] = count
	for range clients {
		c.running.Go(func() {
			for c.ctx.Err() == nil {
				exchange, end, err := open(c.ctx)
				for err == nil && c.ctx.Err() == nil {
					if err = exchange(); err == nil {
						count.done.Add(1)
						pause(c.ctx, every)
					}
				}
				if end != nil {
					end()
				}
				if err != nil {
					count.failed.Add(1)
					count.first.Do(func() { count.why = time.Now().Format(time.TimeOnly) + " " + err.Error() })
					pause(c.ctx, every)
				}
			}
		})
	}
	return count
}

func pause(ctx context.Context, long time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
}

// going waits until each kind has made more exchanges.
func (c *crowd) going() {
	c.t.Helper()
	for kind, count := range c.kinds {
		before := count.done.Load()
		testkit.Until(c.t, kind+" goes on", func() bool { return count.done.Load() > before+1 })
	}
}

// lossless fails the test if an exchange failed, where that is a failure, or a kind made none.
func (c *crowd) lossless() {
	c.t.Helper()
	for _, kind := range names(c.kinds) {
		count := c.kinds[kind]
		done, failed := count.done.Load(), count.failed.Load()
		what := "failed"
		if count.mayFail {
			what = "ended, as they may"
		}
		c.t.Logf("%-32s %6d exchanges, %d %s %s", kind, done, failed, what, count.why)
		if failed > 0 && !count.mayFail || done == 0 {
			c.t.Errorf("%s: %d of %d failed, the first with: %s", kind, failed, done+failed, count.why)
		}
	}
}
