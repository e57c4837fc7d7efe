package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Serve answers requests on all listeners until ctx ends, and closes them. Requests that are under way then have 10 s to
// finish. It returns nil after an orderly end.
func Serve(ctx context.Context, handler http.Handler, logger *slog.Logger, listeners ...net.Listener) error {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	server := &http.Server{
		Handler: handler,
		// Against clients that hold a connection and say nothing. A request itself is bound by Limits.Time.
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	group, running := errgroup.WithContext(ctx)
	for _, listener := range listeners {
		logger.InfoContext(ctx, "API listening", "network", listener.Addr().Network(), "address", listener.Addr().String())
		group.Go(func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("api: serve on %s: %w", listener.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		<-running.Done()
		finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(finish); err != nil {
			return errors.Join(fmt.Errorf("api: shut down: %w", err), server.Close())
		}
		return nil
	})
	return group.Wait()
}
