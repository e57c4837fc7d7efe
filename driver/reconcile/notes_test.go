package reconcile

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// logBook keeps what is logged.
type logBook struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (b *logBook) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.Write(line)
}

// notes returns the notes about a pool.
func (b *logBook) notes(t *testing.T, pool string) []string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for line := range strings.SplitSeq(strings.TrimSpace(b.lines.String()), "\n") {
		var entry struct {
			Level, Pool, Note, LB string
			RequestID             string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if entry.Note == "" {
			continue
		}
		if entry.Level != "INFO" || entry.Pool != pool || entry.LB != lbID || entry.RequestID != "req-1" {
			t.Errorf("a note is logged as %s", line)
		}
		all = append(all, entry.Note)
	}
	return all
}

// TestNotesAreLoggedOnce holds that the operator reads which ciphers fall away: with the change that asks for them, and not
// again with each attempt.
func TestNotesAreLoggedOnce(t *testing.T) {
	book := &logBook{}
	w := start(t, func(o *Options) { o.Logger = slog.New(slog.NewJSONHandler(book, nil)) })
	const first = "tls_ciphers: Envoy has no DHE-RSA-AES128-GCM-SHA256; the others are in use"
	const second = "tls_ciphers: Envoy has no CAMELLIA; the others are in use"
	for _, step := range []struct {
		ciphers string
		want    []string
	}{
		{"HIGH:DHE-RSA-AES128-GCM-SHA256", []string{first}},
		{"HIGH:DHE-RSA-AES128-GCM-SHA256", []string{first}},
		{"HIGH:CAMELLIA", []string{first, second}},
		{"HIGH", []string{first, second}},
	} {
		w.set(func() {
			w.tree = tree()
			w.tree.Pools[0].TLSEnabled, w.tree.Pools[0].TLSCiphers = true, step.ciphers
		})
		w.intend(t, model.OpUpdate, lbRef)
		w.next(t)
		if diff := cmp.Diff(step.want, book.notes(t, poolID)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", step.ciphers, diff)
		}
	}
}
