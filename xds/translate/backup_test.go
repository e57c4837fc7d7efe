package translate

import (
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// named is an HTTP member that answers with its name.
func named(t *testing.T, name string) string {
	t.Helper()
	return server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
}

// answers returns who answers so many requests, each once, sorted.
func answers(t *testing.T, l *model.Listener, count int, request string) []string {
	t.Helper()
	var all []string
	for range count {
		_, body := ask(t, l, request)
		all = append(all, body)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestBackups is HAProxy's `option allbackups`: all backups, and only when no other member takes traffic.
func TestBackups(t *testing.T) {
	one, two, three := named(t, "one"), named(t, "two"), named(t, "three")
	half, none, drained := listener(t, "half", "HTTP", "half"), listener(t, "none", "HTTP", "none"), listener(t, "drained", "HTTP", "drained")
	backed := func(id string) model.Pool {
		p := pool(id, "HTTP", one, two, three)
		p.Members[1].Backup, p.Members[2].Backup = true, true
		return p
	}
	disabled, weightless := backed("none"), backed("drained")
	disabled.Members[0].AdminStateUp = false
	weightless.Members[0].Weight = 0
	serve(t, &model.LoadBalancer{
		Listeners: []model.Listener{half, none, drained},
		Pools:     []model.Pool{backed("half"), disabled, weightless},
	})
	for _, test := range []struct {
		listener *model.Listener
		want     []string
	}{
		{&half, []string{"one"}},
		{&none, []string{"three", "two"}},
		{&drained, []string{"three", "two"}},
	} {
		if diff := cmp.Diff(test.want, answers(t, test.listener, 8, get)); diff != "" {
			t.Errorf("listener %s (-want +got):\n%s", test.listener.ID, diff)
		}
	}
}
