package accesslog

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

const (
	// maxBuffered is how many bytes of lines Envoy may keep, because the disk does not take them, before they are left out.
	maxBuffered = 32 << 20
	// guardTicks is how often that is looked at, in looks at the files: what Envoy writes meanwhile comes on top.
	guardTicks = 5
)

// Envoy's statistics of its files: the access log is the only one.
const (
	statBuffered    = "filesystem.write_total_buffered"
	statWriteFailed = "filesystem.write_failed"
	statsOfFiles    = `^filesystem\.write_(total_buffered|failed)$`
)

// guard turns the access log off while Envoy cannot get rid of its lines, and on again: Envoy would keep them all, however
// many, as long as a disk hangs. It touches no disk itself.
type guard struct {
	admin  Admin
	logger *slog.Logger
	limit  uint64
	// needed says that there is an access log.
	needed atomic.Bool
	// off is also the state of what an earlier agent may have turned off.
	off   bool
	since time.Time
	// failed counts the writes that failed, as of the last look.
	failed uint64
}

func (g *guard) run(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if g.needed.Load() {
				g.look(ctx)
			}
		}
	}
}

func (g *guard) look(ctx context.Context) {
	stats, err := g.admin.Stats(ctx, statsOfFiles)
	if err != nil {
		return // Envoy has ended, or does not answer: others tell
	}
	if failed := stats[statWriteFailed]; failed != g.failed {
		if failed > g.failed {
			g.logger.Error("Envoy cannot write its access log, is the disk full? Lines are lost", "failed_writes", failed-g.failed)
		}
		g.failed = failed // fewer are those of another Envoy
	}
	switch buffered := stats[statBuffered]; {
	case buffered > g.limit:
		if !g.off {
			g.since = time.Now()
			g.logger.Error("the disk takes no access log: it is off until it does", "buffered_bytes", buffered)
		}
		g.off = true
		g.set(ctx, "0") // again and again: it may be another Envoy
	case g.off && buffered < g.limit/4:
		if g.off = !g.set(ctx, ""); !g.off && !g.since.IsZero() {
			g.logger.Warn("the access log is on again; lines are missing", "after", time.Since(g.since).String())
			g.since = time.Time{}
		}
	}
}

// set writes the percentage of lines that are logged; "" is all.
func (g *guard) set(ctx context.Context, percent string) bool {
	_, err := g.admin.Do(ctx, http.MethodPost, fmt.Sprintf("/runtime_modify?%s=%s", translate.AccessLogRuntimeKey, percent))
	return err == nil
}
