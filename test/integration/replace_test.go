package integration

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/probe"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// replacing is a fixture whose Envoy has somebody to ask for the checks that it cannot do, and is asked how its checks stand.
func replacing(t *testing.T) (*controller, *envoy) {
	t.Helper()
	c, e, _ := fixture(t)
	c.publisher.Checks = checks{e}
	bridge := probe.New(probe.Options{Socket: filepath.Join(filepath.Dir(e.log), translate.ProbeSocket)})
	must(t, bridge.Listen())
	testkit.Run(t, func(ctx context.Context) error { return bridge.Run(ctx) })
	return c, e
}

// checks asks Envoy's admin socket as the amphora's agent does.
type checks struct{ envoy *envoy }

func (c checks) Checked(ctx context.Context, _ string) (map[string]publish.Checked, error) {
	all, err := envoyadmin.New(filepath.Join(filepath.Dir(c.envoy.log), "admin.sock")).Checks(ctx)
	checked := map[string]publish.Checked{}
	for cluster, is := range all {
		checked[cluster] = publish.Checked(is)
	}
	return checked, err
}

// checkedBy is a pool with a monitor of a type.
func checkedBy(kind string, p model.Pool) model.Pool {
	p = monitored(p, 5)
	p.HealthMonitor.Type = kind
	switch kind {
	case "HTTP/1.0":
		p.HealthMonitor.Type, p.HealthMonitor.HTTPVersion = model.HealthMonitorHTTP, 1.0
	case "slow HTTP":
		p.HealthMonitor.Type, p.HealthMonitor.URLPath = model.HealthMonitorHTTP, slowPath
	}
	return p
}

// some are members of these names.
func some(t *testing.T, names ...string) []model.Member {
	t.Helper()
	var members []model.Member
	for _, name := range names {
		members = append(members, member(t, name))
	}
	return members
}

// onlyBy waits until requests are answered by no others.
func onlyBy(t *testing.T, l model.Listener, want ...string) {
	t.Helper()
	client := newClient(t)
	testkit.Eventually(t, func() error {
		for range 8 {
			if code, body := fetch(t.Context(), client, l); code != http.StatusOK || !slices.Contains(want, body) {
				return fmt.Errorf("answered %d %q, want %v", code, body, want)
			}
		}
		return nil
	})
}

// TestReplacedMembersLoseNothing replaces the members of a monitored pool in one call, under load, back and forth.
func TestReplacedMembersLoseNothing(t *testing.T) {
	for _, kind := range []string{
		model.HealthMonitorHTTP, "slow HTTP", "HTTP/1.0", model.HealthMonitorTCP, model.HealthMonitorPing,
	} {
		t.Run(kind, func(t *testing.T) {
			c, _ := replacing(t)
			l, before, after := listener(t, "l1", "p1"), some(t, "a", "b"), some(t, "c", "d")
			here := []model.Listener{l}
			c.accepted("amphora-1", translated(t, here, checkedBy(kind, pool("p1", before...))))
			traffic := startLoad(t, l)
			traffic.more(t, 50)
			for range 2 {
				for _, members := range [][]model.Member{after, before} {
					began := time.Now()
					c.accepted("amphora-1", translated(t, here, checkedBy(kind, pool("p1", members...))))
					t.Logf("replaced in %v, %d of %d failed", time.Since(began).Round(time.Millisecond), traffic.failed.Load(), traffic.total.Load())
					onlyBy(t, l, members[0].ID, members[1].ID)
					traffic.more(t, 50)
				}
			}
			traffic.lossless(t)
		})
	}
}

// refusing is a member at which nobody listens.
func refusing(t *testing.T, name string) model.Member {
	t.Helper()
	return model.Member{ID: name, AdminStateUp: true, Weight: 1, Address: "127.0.0.1", ProtocolPort: freePort(t)}
}

// TestMembersReplacedOtherwiseLoseNothing has changes of many kinds that leave no member that has been checked. A check takes 200 ms:
// long enough to lose what is lost.
func TestMembersReplacedOtherwiseLoseNothing(t *testing.T) {
	with := func(members ...model.Member) model.Pool { return checkedBy("slow HTTP", pool("p1", members...)) }
	draining := func(m model.Member) model.Member { m.Weight = 0; return m }
	disabled := func(m model.Member) model.Member { m.AdminStateUp = false; return m }
	backup := func(m model.Member) model.Member { m.Backup = true; return m }
	elsewhere := func(m, at model.Member) model.Member { m.MonitorPort = at.ProtocolPort; return m }
	sticky := func(p model.Pool) model.Pool {
		p.SessionPersistence = &model.SessionPersistence{Type: "HTTP_COOKIE"}
		return p
	}
	hashed := func(p model.Pool) model.Pool { p.LBAlgorithm = model.AlgorithmSourceIP; return p }
	a, b, c, d := member(t, "a"), member(t, "b"), member(t, "c"), member(t, "d")
	down, bad := refusing(t, "down"), refusing(t, "bad")
	for name, test := range map[string]struct {
		// steps follow each other without a pause; meets are those who answer in the end.
		steps []model.Pool
		meets []string
	}{
		"half, and the other half is down": {[]model.Pool{with(a, down), with(b, down)}, []string{"b"}},
		"half, and the other half is up":   {[]model.Pool{with(a, b), with(a, c)}, []string{"a", "c"}},
		"back to back":                     {[]model.Pool{with(a), with(b), with(c), with(d), with(a, b)}, []string{"a", "b"}},
		"added and at once relied upon":    {[]model.Pool{with(a), with(a, b), with(b)}, []string{"b"}},
		"drained":                          {[]model.Pool{with(a), with(draining(a), b)}, []string{"b"}},
		"disabled":                         {[]model.Pool{with(a), with(disabled(a), b)}, []string{"b"}},
		"one of the new is bad":            {[]model.Pool{with(a), with(b, bad)}, []string{"b"}},
		"backups":                          {[]model.Pool{with(a, backup(b)), with(c, backup(d))}, []string{"c"}},
		"a backup serves":                  {[]model.Pool{with(down, backup(b)), with(bad, backup(d))}, []string{"d"}},
		"now a backup":                     {[]model.Pool{with(a), with(backup(a), b)}, []string{"b"}},
		"checked elsewhere":                {[]model.Pool{with(a, b), with(elsewhere(a, c), elsewhere(b, c))}, []string{"a", "b"}},
		"checked elsewhere, and a new one": {[]model.Pool{with(a), with(elsewhere(a, c), b)}, []string{"a", "b"}},
		"persistence by cookie":            {[]model.Pool{sticky(with(a, b)), sticky(with(c, d))}, []string{"c", "d"}},
		"persistence by source":            {[]model.Pool{hashed(with(a, b)), hashed(with(c, d))}, []string{"c", "d"}},
		"a monitor and members":            {[]model.Pool{pool("p1", a, b), with(c, d)}, []string{"c", "d"}},
		"another monitor and members": {[]model.Pool{
			checkedBy(model.HealthMonitorTCP, pool("p1", a, b)), with(c, d),
		}, []string{"c", "d"}},
		"no monitor": {[]model.Pool{pool("p1", a, b), pool("p1", c, d)}, []string{"c", "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			control, _ := replacing(t)
			l := listener(t, "l1", "p1")
			here := []model.Listener{l}
			control.accepted("amphora-1", translated(t, here, test.steps[0]))
			onlyBy(t, l, "a", "b")
			traffic := startLoad(t, l)
			traffic.more(t, 50)
			for _, step := range test.steps[1:] {
				began := time.Now()
				control.accepted("amphora-1", translated(t, here, step))
				t.Logf("in %v", time.Since(began).Round(time.Millisecond))
			}
			onlyBy(t, l, test.meets...)
			traffic.lossless(t)
		})
	}
}

// TestReplacedByNobodyGo replaces members by such that are down, or never answer: the former go in time all the same.
func TestReplacedByNobodyGo(t *testing.T) {
	for name, test := range map[string]struct {
		new     model.Member
		timeout int
	}{"they are down": {refusing(t, "bad"), 5}, "they never answer": {hung(t), 1}} {
		t.Run(name, func(t *testing.T) {
			c, _ := replacing(t)
			l := listener(t, "l1", "p1")
			here := []model.Listener{l}
			c.accepted("amphora-1", translated(t, here, monitored(pool("p1", member(t, "a")), test.timeout)))
			onlyBy(t, l, "a")
			c.accepted("amphora-1", translated(t, here, monitored(pool("p1", test.new), test.timeout)))
			if code, body := fetch(t.Context(), newClient(t), l); code != http.StatusServiceUnavailable {
				t.Errorf("answered %d %q", code, body)
			}
		})
	}
}

// TestOneMemberOfManyTakesOnePush: where members stay that have been checked, nobody waits for anybody.
func TestOneMemberOfManyTakesOnePush(t *testing.T) {
	c, _ := replacing(t)
	l, members := listener(t, "l1", "p1"), some(t, "a", "b", "c")
	here := []model.Listener{l}
	c.accepted("amphora-1", translated(t, here, checkedBy("slow HTTP", pool("p1", members[:2]...))))
	onlyBy(t, l, "a", "b")
	before := c.sent()
	c.accepted("amphora-1", translated(t, here, checkedBy("slow HTTP", pool("p1", members[1:]...))))
	if sent := since(before, c.sent()); sent["endpoint"] != 1 {
		t.Fatalf("sent %v", sent)
	}
}
