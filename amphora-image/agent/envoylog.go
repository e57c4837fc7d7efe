package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// envoyLogFormat makes lines that can be taken apart: level, logger, text (spdlog's pattern syntax).
const envoyLogFormat = "%l\t%n\t%v"

const (
	// logPollEvery is how late a line of Envoy's may be in the agent's log.
	logPollEvery = 200 * time.Millisecond
	// maxLogFile is when Envoy's log file is emptied, in bytes; its lines are in the agent's log by then.
	maxLogFile = 16 << 20
	// maxLogLine is how much of one line is kept, in bytes.
	maxLogLine = 4096
	// logBurst lines pass at once, then logRate a second: an Envoy that complains about each request must not fill the disk.
	logBurst, logRate = 200, 50
)

// envoyLog turns what Envoy writes to its file into lines of the agent's log.
type envoyLog struct {
	path   string
	logger *slog.Logger

	mu        sync.Mutex
	file      *os.File
	offset    int64
	partial   []byte
	complaint string

	tokens     float64
	filled     time.Time
	suppressed int
}

func newEnvoyLog(path string, logger *slog.Logger) *envoyLog {
	return &envoyLog{path: path, logger: logger, tokens: logBurst}
}

// open returns a new descriptor for Envoy to write to. It appends, so that the file can be emptied under it.
func (l *envoyLog) open() (*os.File, error) {
	return os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// run follows the file until ctx is done.
func (l *envoyLog) run(ctx context.Context) error {
	ticker := time.NewTicker(logPollEvery)
	defer ticker.Stop()
	for {
		if err := l.pump(ctx); err != nil {
			l.logger.Warn("cannot read Envoy's log", "error", err)
		}
		select {
		case <-ctx.Done():
			err := l.pump(ctx)
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.file != nil {
				err = errors.Join(err, l.file.Close())
			}
			return err
		case <-ticker.C:
		}
	}
}

// skip leaves out what an earlier agent has logged.
func (l *envoyLog) skip() {
	if info, err := os.Stat(l.path); err == nil {
		l.offset = info.Size()
	}
}

// pump logs what has been written since.
func (l *envoyLog) pump(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		file, err := os.OpenFile(l.path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		l.file = file
	}
	reader := bufio.NewReader(io.NewSectionReader(l.file, l.offset, 1<<62))
	for {
		chunk, err := reader.ReadSlice('\n')
		l.offset += int64(len(chunk))
		if room := maxLogLine - len(l.partial); len(chunk) > room {
			l.partial = append(l.partial, chunk[:max(room, 0)]...)
		} else {
			l.partial = append(l.partial, chunk...)
		}
		switch {
		case err == nil:
			l.line(ctx, string(bytes.TrimRight(l.partial, "\r\n")))
			l.partial = l.partial[:0]
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if l.offset < maxLogFile {
				return nil
			}
			l.offset = 0
			return l.file.Truncate(0)
		default:
			return err
		}
	}
}

// line logs one line of Envoy's. Its `info` is for who looks closely: the list of its extensions, each update.
func (l *envoyLog) line(ctx context.Context, text string) {
	level, component := slog.LevelDebug, ""
	if parts := strings.SplitN(text, "\t", 3); len(parts) == 3 {
		switch parts[0] {
		case "warning":
			level = slog.LevelWarn
		case "error", "critical":
			level = slog.LevelError
			l.complaint = parts[2]
		}
		component, text = parts[1], parts[2]
	}
	if !l.logger.Enabled(ctx, level) || !l.allowed() {
		return
	}
	l.logger.Log(ctx, level, "envoy: "+text, "envoy_logger", component) //nolint:sloglint // the message is Envoy's
}

func (l *envoyLog) allowed() bool {
	now := time.Now()
	if !l.filled.IsZero() {
		l.tokens = min(logBurst, l.tokens+now.Sub(l.filled).Seconds()*logRate)
	}
	l.filled = now
	if l.tokens < 1 {
		l.suppressed++
		return false
	}
	l.tokens--
	if l.suppressed > 0 {
		l.logger.Warn("left out lines of Envoy's log, see the file", "lines", l.suppressed, "file", l.path)
		l.suppressed = 0
	}
	return true
}

// lastComplaint returns the last error in Envoy's log and forgets it.
func (l *envoyLog) lastComplaint(ctx context.Context) string {
	if err := l.pump(ctx); err != nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	complaint := l.complaint
	l.complaint = ""
	return complaint
}
