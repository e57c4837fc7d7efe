package secrets

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

type shelf struct {
	all       []store.LoadBalancer
	refreshed []string
}

func (s *shelf) LoadBalancers(context.Context) ([]store.LoadBalancer, error) { return s.all, nil }

func (s *shelf) Refresh(_ context.Context, id string) error {
	s.refreshed = append(s.refreshed, id)
	return nil
}

// TestWatch counts, warns and refreshes what has certificates.
func TestWatch(t *testing.T) {
	authority, now := pki.New(t, "root"), time.Now().Truncate(time.Second)
	lb := func(id string, left time.Duration) store.LoadBalancer {
		tree := &model.LoadBalancer{ID: id}
		if left != 0 {
			tree.Listeners = []model.Listener{{ID: "l-" + id, DefaultTLSContainerRef: "https://b/" + id, DefaultTLSContainer: authority.Issue(pki.Options{
				Names: []string{"x"}, NotBefore: now.Add(-100 * 24 * time.Hour), NotAfter: now.Add(left),
			}).Container()}}
		}
		return store.LoadBalancer{ID: id, Tree: tree}
	}
	s := &shelf{all: []store.LoadBalancer{
		lb("ends-soon", time.Hour), lb("over", -time.Hour), lb("lasts", 60*24*time.Hour), lb("plain", 0), {ID: "unread"},
	}}
	var logged bytes.Buffer
	woken := 0
	w := &Watch{
		Store: s, WarnBefore: 30 * 24 * time.Hour, Logger: slog.New(slog.NewTextHandler(&logged, nil)), Now: func() time.Time { return now },
		Wake: func() { woken++ },
	}
	if err := w.round(t.Context(), false); err != nil || len(s.refreshed) > 0 || woken > 0 {
		t.Errorf("the first round: %v, refreshed %v", err, s.refreshed)
	}
	if err := w.round(t.Context(), true); err != nil || strings.Join(s.refreshed, " ") != "ends-soon over lasts" || woken != 1 {
		t.Errorf("the second round: %v, refreshed %v", err, s.refreshed)
	}
	text := logged.String()
	for id, want := range map[string]bool{"lb=ends-soon": true, "lb=over": true, "lb=lasts": false, "PRIVATE": false} {
		if strings.Contains(text, id) != want {
			t.Errorf("%s in the log: %v\n%s", id, !want, text)
		}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(w)
	err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP octavia_envoy_certificates Certificates of load balancers: expired, expiring (within secrets.warn_before) or valid.
# TYPE octavia_envoy_certificates gauge
octavia_envoy_certificates{validity="expired"} 1
octavia_envoy_certificates{validity="expiring"} 1
octavia_envoy_certificates{validity="valid"} 1
`), "octavia_envoy_certificates")
	if err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
