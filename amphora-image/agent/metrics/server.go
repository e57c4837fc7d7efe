package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

const (
	// freshFor is how long a reading is given out at least: however many scrape, Envoy is read once in that time.
	freshFor = time.Second
	// restFor is how many times as long as a reading took the next one has to wait: with hundreds of listeners on a busy machine
	// it takes a part of a second of the thread that also takes up what the controller sends.
	restFor = 10
	// readTimeout bounds the reading of Envoy. It is shorter than what Envoy gives a scrape.
	readTimeout = 4 * time.Second
	// answerTimeout bounds a connection, which is one scrape.
	answerTimeout = 15 * time.Second
	// socketMode lets nobody in but Envoy, which runs as the agent's user.
	socketMode = 0o600
	retryEvery = time.Second
)

// Options of Run.
type Options struct {
	// Socket is where to serve: a unix socket, never a port.
	Socket string
	Envoy  Envoy
	// Process is Envoy's; nil leaves out octavia_loadbalancer_cpu and octavia_loadbalancer_memory.
	Process func() process.ID
	Logger  *slog.Logger
	// Now is time.Now by default.
	Now func() time.Time
}

// Run serves the metrics until ctx is done. Troubles are logged and tried again: Envoy's traffic does not depend on them.
func Run(ctx context.Context, options Options) error {
	handler := NewHandler(options)
	for ctx.Err() == nil {
		if err := serve(ctx, options.Socket, handler); err != nil && ctx.Err() == nil {
			options.Logger.Error("cannot serve metrics", "error", err, "retry_in", retryEvery.String())
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
	return nil
}

func serve(ctx context.Context, socket string, handler http.Handler) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) { // of an agent that was killed
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, socketMode); err != nil {
		_ = listener.Close()
		return err
	}
	server := &http.Server{
		Handler: handler, ReadTimeout: answerTimeout, WriteTimeout: answerTimeout,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // of clients that went away
	}
	// Envoy would use a connection of an agent that is gone, and answer 503 to that scrape.
	server.SetKeepAlivesEnabled(false)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// NewHandler returns what serves GET and HEAD of /metrics, and 404 or 405 for all else.
func NewHandler(options Options) http.Handler {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	var usage func() (Usage, bool)
	if options.Process != nil {
		usage = usageOf(options.Process, options.Now)
	}
	page := &page{reader: newReader(options.Envoy, usage), now: options.Now, logger: options.Logger}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+translate.MetricsPath, page.serve)
	return mux
}

// page is the last reading as text. Trouble is kept as long.
type page struct {
	now    func() time.Time
	logger *slog.Logger

	mu     sync.Mutex
	reader *reader
	text   []byte
	err    error
	// stale is when the next reading is due.
	stale time.Time
}

func (p *page) serve(w http.ResponseWriter, request *http.Request) {
	text, err := p.get(request.Context())
	w.Header().Set("Cache-Control", "no-cache")
	if err != nil {
		// Why is for the operator: the user's side of the load balancer reads this.
		http.Error(w, "The load balancer's metrics cannot be read now.", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", string(expfmt.FmtText))
	_, _ = w.Write(text)
}

// get returns the last reading, or makes one. Those who come meanwhile wait for it.
func (p *page) get(ctx context.Context) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	begin := p.now()
	if begin.Before(p.stale) {
		return p.text, p.err
	}
	// Who asked may go away; the reading is for the others, too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	p.text, p.err = p.make(ctx)
	if p.err != nil {
		p.logger.Warn("cannot read the load balancer's metrics", "error", p.err)
	}
	end := p.now()
	p.stale = end.Add(max(freshFor, restFor*end.Sub(begin)))
	return p.text, p.err
}

func (p *page) make(ctx context.Context) ([]byte, error) {
	reading, err := p.reader.read(ctx)
	if err != nil {
		return nil, err
	}
	text, err := reading.text()
	if err != nil {
		return nil, fmt.Errorf("write metrics: %w", err)
	}
	return text, nil
}
