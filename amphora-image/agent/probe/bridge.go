package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
)

const (
	// maxPlaces bounds the checks by UDP and HTTP at a time. A check of HTTPS takes about 60 KiB.
	maxPlaces = 4096
	// maxConnections bounds Envoy's, each of which is a check.
	maxConnections = 32768
	// headerTimeout is for Envoy to send its request, which it does at once.
	headerTimeout = 10 * time.Second
	idleTimeout   = 10 * time.Minute
	// maxRequest is in bytes. A url_path of Octavia's has up to 255, escaped three times as many.
	maxRequest = 8 << 10
	maxReason  = 200
	retryEvery = time.Second
)

// Options of New. Socket is needed.
type Options struct {
	// Socket is the path of the unix socket: translate.ProbeSocket in Envoy's working directory.
	Socket string
	// Holders returns the Envoys that an earlier agent may have left running with its socket; nil is none.
	Holders func() ([]process.ID, error)
	Logger  *slog.Logger
}

// Bridge answers Envoy's health checks.
type Bridge struct {
	options Options
	pinger  *pinger
	gate    *gate

	mu       sync.Mutex
	listener *net.UnixListener
	// held is the listening socket once more, for Envoy to inherit.
	held *os.File
}

// New makes a bridge. Listen and Run do the rest.
func New(options Options) *Bridge {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Bridge{options: options, pinger: newPinger(), gate: newGate(min(maxPlaces, descriptors()/4))}
}

// descriptors is how many files the agent may have open.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return int(min(limit.Cur, 1<<20))
}

// Run serves until ctx is done; then it takes the socket away. Troubles are logged and tried again.
func (b *Bridge) Run(ctx context.Context) error {
	defer b.pinger.close()
	defer b.close()
	if err := b.pinger.try(); err != nil {
		b.options.Logger.Warn("PING health monitors will say that their members are down", "error", err)
	}
	for ctx.Err() == nil {
		err := b.Listen()
		if err == nil {
			err = b.serve(ctx)
		}
		if ctx.Err() != nil {
			break
		}
		b.options.Logger.Error("cannot answer health checks", "error", err, "retry_in", retryEvery.String())
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
	return nil
}

func (b *Bridge) serve(ctx context.Context) error {
	b.mu.Lock()
	listener := b.listener
	b.mu.Unlock()
	server := &http.Server{
		Handler:           b,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxRequest,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // of clients that went away
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(netutil.LimitListener(listener, min(maxConnections, descriptors()/3)))
	b.drop()
	return err
}

// ServeHTTP does one check.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	check, err := parse(r)
	if err != nil {
		b.options.Logger.Warn("asked for an odd health check", "error", err)
		http.Error(w, oneLine(err), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), check.timeout)
	defer cancel()
	err = b.run(ctx, check)
	if errors.Is(r.Context().Err(), context.Canceled) {
		panic(http.ErrAbortHandler) // Envoy is gone, or the agent goes: that says nothing about the member
	}
	if err != nil {
		b.options.Logger.Debug("health check failed", "type", check.kind, "member", check.target.String(), "reason", oneLine(err))
		http.Error(w, oneLine(err), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("up\n"))
}

func (b *Bridge) run(ctx context.Context, check *request) error {
	if check.kind == kindPing { // takes next to nothing
		return b.pinger.ping(ctx, check.target.Addr())
	}
	if err := b.gate.enter(ctx, check.group); err != nil {
		return errors.New("too many checks at once: it did not come to be this one's turn")
	}
	defer b.gate.leave(check.group)
	if check.kind == kindUDPConnect {
		return udpConnect(ctx, check.target)
	}
	err := check.http.run(ctx, check.target)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("not done within %s: %w", check.timeout, err)
	}
	return err
}

// oneLine makes an error fit to be read, whatever a member has sent.
func oneLine(err error) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, err.Error())
	return text[:min(len(text), maxReason)]
}
