package soak

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// soak is one run.
type soak struct {
	t       *testing.T
	w       *world
	site    *site
	changes map[string]change
	// lb is the load balancer, guestID another one.
	lb, guestID string
	// done counts what was done by kind.
	done map[string]int
	// disturbed counts the changes that end UDP sessions of the listener that is played with.
	crowd *crowd
	base  *model.LoadBalancer
}

// TestSoak is explained in the documentation of the package.
func TestSoak(t *testing.T) {
	t.Parallel()
	long, seed := 2*time.Minute, uint64(time.Now().UnixNano())
	var err error
	if text := os.Getenv("OE_SOAK"); text != "" {
		long, err = time.ParseDuration(text)
		must(t, err)
	}
	if text := os.Getenv("OE_SOAK_SEED"); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("OE_SOAK=%s OE_SOAK_SEED=%d", long, seed)
	k := newSoak(t, seed)
	quiet, restless := startDatagrams(t, bystander+"UDP", fmt.Sprintf("%s:%d", k.site.vip, portUDP), 2, 50*time.Millisecond),
		startDatagrams(t, played+"UDP", fmt.Sprintf("%s:%d", k.site.vip, portUDP+1), 2, 50*time.Millisecond)
	k.site.traffic(k.crowd)
	k.crowd.going()

	k.play(long/4, true)
	k.checkpoint("after a quarter")
	k.play(long/4, true)
	half := k.checkpoint("after half")
	k.play(long/4, false)
	k.checkpoint("after three quarters")
	k.play(long/4, false)
	end := k.checkpoint("at the end")

	k.crowd.going()
	k.crowd.stop()
	if n := quiet.lost(); n > 0 {
		t.Errorf("%d datagrams of bystanders were lost:%s", n, quiet.when())
	}
	restless.lost()
	k.crowd.lossless()
	k.flat(half, end)
	k.nothingLeft()
	for _, name := range names(k.done) {
		t.Logf("%5d %s", k.done[name], name)
	}
}

func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	k := &soak{t: t, w: startWorld(t), site: newSite(t, rand.New(rand.NewPCG(seed, 1))), done: map[string]int{}, crowd: startCrowd(t)}
	k.changes = k.site.changes()
	k.base = k.site.base()
	k.lb = k.base.ID
	must(t, k.w.call(k.lb, func(c *call) bool {
		c.tree = clone(k.base)
		for _, ref := range refs(c.tree) {
			c.pending[ref] = model.ProvisioningPendingCreate
		}
		return c.post("/v1/loadbalancers", loadBalancerDocument(c.tree))
	}))
	k.w.settled(k.lb)
	return k
}

// play changes things for some time.
func (k *soak) play(long time.Duration, restarts bool) {
	k.t.Helper()
	changes := names(k.changes)
	upsetting, others := k.upsets()
	for name, upset := range upsetting {
		if restarts {
			others[name] = upset
		}
	}
	upsets := names(others)
	for begin := time.Now(); time.Since(begin) < long && !k.t.Failed(); {
		k.change(changes[k.site.pick(len(changes))])
		if k.site.pick(8) == 0 { // while that change is under way
			name := upsets[k.site.pick(len(upsets))]
			others[name]()
			k.done["upset: "+name]++
		}
		k.w.settled(k.lb)
		k.w.mu.Lock()
		failures := k.w.failures
		k.w.mu.Unlock()
		if len(failures) > 0 {
			k.t.Fatalf("reported to be in ERROR: %v", failures)
		}
	}
}

// change makes a call of a kind.
func (k *soak) change(name string) {
	k.t.Helper()
	switch err := k.w.call(k.lb, k.changes[name]); {
	case errors.Is(err, errNothing):
	case err != nil:
		k.t.Fatalf("%s: %v", name, err)
	default:
		k.done[name]++
	}
}

// checkpoint checks that all is as it should be, brings the load balancer back to what it was at first, and looks how much is in use.
func (k *soak) checkpoint(when string) usage {
	k.t.Helper()
	k.w.settled(k.lb)
	k.equal()
	k.told()
	k.crowd.going()
	k.reset()
	k.equal()
	u := k.usage()
	u.log(k.t, when)
	return u
}

// flat fails the test if something has grown.
func (k *soak) flat(before, after usage) {
	k.t.Helper()
	if after.goroutines > before.goroutines+20 {
		stacks, _ := k.w.debug("goroutine?debug=1")
		k.t.Errorf("goroutines have grown from %d to %d:\n%s", before.goroutines, after.goroutines, stacks)
	}
	if after.heap > before.heap+before.heap/4+8*mebibyte {
		k.t.Errorf("the controller's memory has grown from %d to %d", before.heap, after.heap)
	}
}

// nothingLeft deletes everything, and fails the test if something stays: work, messages, files or processes.
func (k *soak) nothingLeft() {
	k.t.Helper()
	for _, id := range []string{k.guestID, k.lb} {
		k.w.settled(id)
		if exists, _ := k.w.has(id); exists {
			k.deleteAll(id)
		}
	}
	testkit.Eventually(k.t, func() error {
		for _, id := range []string{k.lb, k.guestID} {
			if exists, _ := k.w.has(id); exists {
				return fmt.Errorf("load balancer %s is there", id)
			}
		}
		if left := k.w.amphorae("--config"); len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		return nil
	})
	db := storetest.Open(k.t, "sqlite:"+k.w.path("db"))
	testkit.Eventually(k.t, func() error {
		waiting, err := db.Outbox(k.t.Context(), time.Now().Add(time.Hour))
		if err != nil || len(waiting) > 0 {
			return fmt.Errorf("the outbox has %v, %w", waiting, err)
		}
		work, err := db.LoadBalancersWithWork(k.t.Context())
		if err != nil || len(work) > 0 {
			return fmt.Errorf("there is work for %v, %w", work, err)
		}
		return nil
	})
}
