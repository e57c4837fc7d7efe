package accesslog

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	// tendEvery is how often sizes are looked at: a file is larger than it may be by what Envoy writes in that time and until it
	// has opened the next, which is another flush interval.
	tendEvery = time.Second
	// askedOften is how many times Envoy is asked to open its log anew before that is taken as hopeless.
	askedOften = 30
	// drainWithin is how long the sender goes on when the agent stops.
	drainWithin = 2 * time.Second
)

// Admin is Envoy's admin interface; *envoyadmin.Client implements it.
type Admin interface {
	Do(ctx context.Context, method, path string) ([]byte, error)
	// Stats returns the counters and gauges whose names match a regular expression.
	Stats(ctx context.Context, filter string) (map[string]uint64, error)
}

// Options of Run.
type Options struct {
	// Config is checked and has its defaults.
	Config Config
	// Host is who messages of syslog come from: the amphora's id.
	Host   string
	Admin  Admin
	Logger *slog.Logger
	// Every is the time between two looks at the files; 0 is a second. For tests.
	Every time.Duration
	// MaxBuffered is how many bytes of lines Envoy may keep in memory; 0 is 32 MiB. For tests, too.
	MaxBuffered uint64
}

// keeper bounds the files.
type keeper struct {
	config Config
	files  files
	admin  Admin
	logger *slog.Logger
	spool  *spool // nil without a sender
	guard  *guard

	// reopenFailed keeps what repeats from the log.
	reopenFailed bool
	// asked is how many looks in a row there was no live file, and Envoy was asked for one.
	asked int
}

// Run tends the access log until ctx is done, and then sends what is left, for at most two seconds: end ctx after Envoy has
// ended. There need not be a log, nor an Envoy. Its troubles are logged; none is worth an Envoy.
func Run(ctx context.Context, options Options) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Every == 0 {
		options.Every = tendEvery
	}
	if options.MaxBuffered == 0 {
		options.MaxBuffered = maxBuffered
	}
	k := &keeper{
		config: options.Config, files: files{options.Config.Dir}, admin: options.Admin, logger: options.Logger,
		guard: &guard{admin: options.Admin, logger: options.Logger, limit: options.MaxBuffered, off: true},
	}
	var sending sync.WaitGroup
	if len(options.Config.Targets) > 0 {
		k.spool = openSpool(k.files, options.Logger)
		sender := newSender(options, k.spool)
		sending.Go(func() { sender.run(ctx) })
	}
	sending.Go(func() { k.guard.run(ctx, guardTicks*options.Every) })
	ticker := time.NewTicker(options.Every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := k.tend(ctx); err != nil && ctx.Err() == nil {
			k.logger.Error("cannot tend the access log", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	sending.Wait()
	if err := k.spool.save(); err != nil {
		k.logger.Error("cannot save what was sent of the access log", "error", err)
	}
}

// tend looks at the files once.
func (k *keeper) tend(ctx context.Context) error {
	found, err := k.files.list()
	if err != nil {
		return err
	}
	if len(found.all()) == 0 {
		return nil // no access log
	}
	k.guard.needed.Store(true)
	if found.isLive {
		full, err := size(k.files.live())
		if err != nil {
			return err
		}
		if full >= k.config.MaxFileBytes {
			if err := k.spool.move(func() error { return os.Rename(k.files.live(), k.files.aside(found.next())) }); err != nil {
				return err
			}
			if found, err = k.files.list(); err != nil {
				return err
			}
		}
	}
	if found.isLive {
		k.asked = 0
	} else {
		// Also when an agent before this one, or this one in vain, has asked already.
		k.reopen(ctx)
		if err := k.empty(found); err != nil {
			return err
		}
	}
	for len(found.aside) > k.config.Files-1 {
		if err := k.discard(found.aside[0]); err != nil {
			return err
		}
		found.aside = found.aside[1:]
	}
	return k.spool.save()
}

// reopen tells Envoy to open its log anew, which it does within its flush interval, and from then on writes to the new file.
func (k *keeper) reopen(ctx context.Context) {
	_, err := k.admin.Do(ctx, http.MethodPost, "/reopen_logs")
	if err != nil && !k.reopenFailed && ctx.Err() == nil {
		k.logger.Warn("cannot make Envoy open its access log anew; it writes to the old file", "error", err)
	}
	k.reopenFailed = err != nil
}

// empty empties the file that Envoy goes on writing to, when that has become twice as large as it may and Envoy does not heed: its
// main thread may hang while others serve. Envoy appends, so that the file can be emptied under it.
func (k *keeper) empty(found listing) error {
	if k.asked++; k.asked <= askedOften {
		return nil
	}
	newest := found.aside[len(found.aside)-1]
	full, err := size(k.files.aside(newest))
	if err != nil || full < 2*k.config.MaxFileBytes {
		return err
	}
	dropped, err := k.spool.lose(newest, true, func() error { return os.Truncate(k.files.aside(newest), 0) })
	if err != nil {
		return err
	}
	k.logger.Error("Envoy does not open its access log anew: emptied it", "bytes", full, "unsent_lines", dropped)
	return nil
}

// discard deletes the oldest file.
func (k *keeper) discard(number int) error {
	dropped, err := k.spool.lose(number, false, func() error {
		if err := os.Remove(k.files.aside(number)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if dropped > 0 {
		k.logger.Warn("no syslog receiver takes the access log fast enough: the oldest lines are lost", "lines", dropped)
	}
	return nil
}
