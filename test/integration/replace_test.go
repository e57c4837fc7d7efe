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
