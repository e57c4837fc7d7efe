package soak

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
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
	done  map[string]int
	crowd *crowd
	// disturbed counts the changes of the UDP listener that is played with, and of its pool.
	disturbed []string
	// stood are the times when Envoy stood still.
	stood []span
	base  *model.LoadBalancer
}

// lostAtOnce is how many answers a socket may miss for each change of its listener or pool: see the documentation of the package.
const lostAtOnce = 1

// TestSoak is explained in the documentation of the package.
func TestSoak(t *testing.T) {
	t.Parallel()
	long, seed := 75*time.Second, uint64(time.Now().UnixNano())
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
	quiet, restless := startDatagrams(t, bystander+"UDP", fmt.Sprintf("%s:%d", k.site.vip, portUDP), 2, 50*time.Millisecond, k.site.deliveries),
		startDatagrams(t, played+"UDP", fmt.Sprintf("%s:%d", k.site.vip, portUDP+1), 2, 50*time.Millisecond, k.site.deliveries)
	k.site.traffic(k.crowd)
	k.crowd.going()

	// A part to warm up, and two halves of as many parts each. In the second the controller is not restarted: its memory is its own.
	half := max(2, int(long/(10*time.Minute)))
	var usages []usage
	for part := range 1 + 2*half {
		k.play(long/time.Duration(1+2*half), part <= half)
		usages = append(usages, k.checkpoint(part))
	}

	k.crowd.going()
	k.crowd.stop()
	if l := quiet.lost(nil); l.undelivered+l.unanswered > 0 {
		t.Errorf("datagrams of bystanders were lost:%s", l.when)
	}
	if l := restless.lost(k.stood); l.undelivered > 0 || l.unanswered > len(k.disturbed)*restless.sockets()*lostAtOnce {
		t.Errorf("too many datagrams were lost by %d changes:%s, which were %v", len(k.disturbed), l.when, k.disturbed)
	}
	k.crowd.lossless()
	k.flat(usages[0], usages[half], usages[2*half])
	k.nothingLeft()
	t.Logf("%d changes of the UDP listener that is played with", len(k.disturbed))
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
	if only := os.Getenv("OE_SOAK_KINDS"); only != "" {
		fits := regexp.MustCompile(only)
		changes = slices.DeleteFunc(changes, func(name string) bool { return !fits.MatchString(name) })
	}
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
	before := k.datagramPath()
	err := k.w.call(k.lb, k.changes[name])
	if k.datagramPath() != before {
		k.disturbed = append(k.disturbed, time.Now().Format(time.TimeOnly)+" "+name)
	}
	switch {
	case errors.Is(err, errNothing):
	case err != nil:
		k.t.Fatalf("%s: %v", name, err)
	default:
		k.done[name]++
	}
}

// checkpoint checks that all is as it should be, brings the load balancer back to what it was at first, and looks how much is in use.
func (k *soak) checkpoint(part int) usage {
	k.t.Helper()
	k.w.settled(k.lb)
	k.equal()
	k.told()
	k.crowd.going()
	k.reset()
	k.noGuest()
	k.equal()
	u := k.usage()
	u.log(k.t, fmt.Sprintf("part %d, %d changes", part, k.total()))
	return u
}

// total is how much was done.
func (k *soak) total() int {
	n := 0
	for _, count := range k.done {
		n += count
	}
	return n
}

// datagramPath is what of the tree datagrams go by that are played with.
func (k *soak) datagramPath() string {
	tree := k.w.tree(k.lb)
	var parts []any
	for _, l := range tree.Listeners {
		if l.Name == played+model.ProtocolUDP {
			parts = append(parts, l, tree.Pool(l.DefaultPoolID))
		}
	}
	return string(encoded(parts))
}

// noGuest waits until the other load balancer is gone.
func (k *soak) noGuest() {
	k.t.Helper()
	k.w.settled(k.guestID)
	if exists, _ := k.w.has(k.guestID); exists {
		k.deleteAll(k.guestID)
	}
	testkit.Until(k.t, "the other load balancer is gone", func() bool {
		exists, _ := k.w.has(k.guestID)
		return !exists && len(k.w.amphorae("--config")) == 1
	})
}

// nothingLeft deletes everything, and fails the test if something stays: work, messages, files or processes.
func (k *soak) nothingLeft() {
	k.t.Helper()
	k.noGuest()
	k.deleteAll(k.lb)
	testkit.Eventually(k.t, func() error {
		if exists, _ := k.w.has(k.lb); exists {
			return errors.New("the load balancer is there")
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
