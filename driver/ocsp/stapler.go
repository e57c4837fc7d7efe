package ocsp

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// Store keeps responses across restarts, and shares them among controllers.
type Store interface {
	OCSPResponse(ctx context.Context, fingerprint string) (*store.OCSPResponse, error)
	PutOCSPResponse(ctx context.Context, response store.OCSPResponse) error
	KeepOCSPResponses(ctx context.Context, inUse []string, since time.Time) (int64, error)
}

// Options are the parts of a Stapler.
type Options struct {
	Store Store
	// Guard says where responders may be.
	Guard Guard
	// Changed is called when there is a new response for a certificate of a load balancer.
	Changed  func(ctx context.Context, loadBalancerID string)
	Registry prometheus.Registerer
	Logger   *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// The bounds of the loop.
const (
	// parallel is how many responders are asked at once.
	parallel = 8
	// pause is how often it is looked for what is due.
	pause = 5 * time.Second
	// firstRetry and lastRetry bound the time between two attempts that fail; it doubles, with jitter.
	firstRetry = time.Minute
	lastRetry  = time.Hour
	// leastRefresh keeps a responder from being asked all the time.
	leastRefresh = 5 * time.Minute
	// leastShortLived does so where leastRefresh would be too long for what is left of a response.
	leastShortLived = 10 * time.Second
	// keep is how long the response of a certificate that nobody uses is kept.
	keep = 14 * 24 * time.Hour
	// tidyInterval is how often others are deleted.
	tidyInterval = 6 * time.Hour
)

// Stapler keeps responses for the certificates of the load balancers that it is shown. Its methods are safe for concurrent use.
type Stapler struct {
	Options
	client  *http.Client
	metrics metrics

	mu sync.Mutex
	// watched are the certificates in use, by fingerprint.
	watched map[string]*watched
	tidied  time.Time
}

// watched is a certificate in use.
type watched struct {
	*subject
	// users are the load balancers that have it.
	users map[string]bool
	// response is what is stapled, in DER; nil for none yet.
	response []byte
	// from and until are the times of the response.
	from, until time.Time
	// due is when to ask for the next one.
	due      time.Time
	failures int
	// revoked is set while that is the responder's answer.
	revoked bool
}

// New makes a Stapler; nothing is fetched before Run.
func New(options Options) *Stapler {
	if options.Now == nil {
		options.Now = time.Now
	}
	s := &Stapler{Options: options, client: options.Guard.Client(), watched: map[string]*watched{}}
	s.metrics = newMetrics(options.Registry, s.states)
	return s
}

// Fill puts the responses that are held into the tree's certificates, and watches these from now on instead of those that
// the load balancer had before.
func (s *Stapler) Fill(ctx context.Context, tree *model.LoadBalancer) {
	inUse := map[string]bool{}
	for _, place := range tree.Secrets() {
		container := place.Certificate()
		if container == nil || place.Role == model.RoleClient {
			continue
		}
		about, err := subjectOf(container)
		if err != nil {
			if !errors.Is(err, errNoResponder) {
				s.Logger.InfoContext(ctx, "nothing to staple", "lb", tree.ID, "certificate", place.Name(), "error", err)
			}
			continue
		}
		inUse[about.fingerprint] = true
		// In a copy: others may be reading the certificate.
		stapled := *container
		stapled.OCSPResponse = s.watch(ctx, tree.ID, about)
		place.SetCertificate(&stapled)
	}
	s.forget(tree.ID, inUse)
}

// Forget stops watching the certificates of a load balancer that is gone.
func (s *Stapler) Forget(loadBalancerID string) { s.forget(loadBalancerID, nil) }

func (s *Stapler) forget(loadBalancerID string, except map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for fingerprint, w := range s.watched {
		if except[fingerprint] {
			continue
		}
		delete(w.users, loadBalancerID)
		if len(w.users) == 0 {
			delete(s.watched, fingerprint)
		}
	}
}

// watch notes that a load balancer uses a certificate and returns what is held for it.
func (s *Stapler) watch(ctx context.Context, loadBalancerID string, about *subject) []byte {
	s.mu.Lock()
	if w := s.watched[about.fingerprint]; w != nil {
		defer s.mu.Unlock()
		w.users[loadBalancerID] = true
		return w.response
	}
	s.mu.Unlock()
	fresh := &watched{subject: about, users: map[string]bool{loadBalancerID: true}, due: s.Now()}
	s.recall(ctx, fresh)
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.watched[about.fingerprint]; w != nil { // another was faster
		w.users[loadBalancerID] = true
		return w.response
	}
	s.watched[about.fingerprint] = fresh
	return fresh.response
}

// recall takes the stored response, if it is good and newer than what is held. It reports whether it did.
func (s *Stapler) recall(ctx context.Context, w *watched) bool {
	stored, err := s.Store.OCSPResponse(ctx, w.fingerprint)
	if err != nil {
		if !errors.Is(err, store.ErrNotFound) {
			s.Logger.WarnContext(ctx, "read a stored OCSP response", "error", err)
		}
		return false
	}
	now := s.Now()
	response, err := check(stored.Response, w.subject, now)
	if err != nil || !response.ThisUpdate.After(w.from) {
		return false
	}
	w.take(stored.Response, response.ThisUpdate, response.NextUpdate, now)
	return true
}

// take keeps a response until half of its life is over, with some jitter: certificates that were made together are not
// asked about together.
func (w *watched) take(der []byte, from, until, now time.Time) {
	w.response, w.from, w.until, w.failures, w.revoked = der, from, until, 0, false
	life := until.Sub(from)
	const jitter = 10                                // a tenth of its life
	w.due = from.Add(life/2 + rand.N(life/jitter+1)) //nolint:gosec // no secret
	if least := now.Add(w.beforeItEnds(leastRefresh, now)); w.due.Before(least) {
		w.due = least
	}
}

// beforeItEnds shortens a wait, so that the next question comes before the response is out of date.
func (w *watched) beforeItEnds(wait time.Duration, now time.Time) time.Duration {
	left := w.until.Sub(now)
	if left <= 0 {
		return wait
	}
	return min(wait, max(left/2, leastShortLived))
}

// Run asks responders until the context ends.
func (s *Stapler) Run(ctx context.Context) error {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		s.refresh(ctx)
		s.tidy(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// refresh asks about every certificate that is due.
func (s *Stapler) refresh(ctx context.Context) {
	now := s.Now()
	s.mu.Lock()
	var due []*watched
	for _, fingerprint := range slices.Sorted(maps.Keys(s.watched)) {
		if w := s.watched[fingerprint]; !w.due.After(now) {
			due = append(due, w)
		}
	}
	s.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, w := range due {
		group.Go(func() error {
			s.renew(ctx, w)
			return nil
		})
	}
	_ = group.Wait() // none returns an error
}

// renew gets a certificate its next response, from another controller or from its responder.
func (s *Stapler) renew(ctx context.Context, w *watched) {
	now := s.Now()
	next := &watched{subject: w.subject, from: w.from}
	if !s.recall(ctx, next) || !next.due.After(now) {
		der, response, err := s.fetch(ctx, w.subject, now)
		if ctx.Err() != nil {
			return
		}
		s.metrics.fetched(err)
		if err == nil && response.ThisUpdate.Before(w.from) {
			err = errors.New("the response is older than the one before")
		}
		if err != nil {
			s.failed(ctx, w, err)
			return
		}
		next.take(der, response.ThisUpdate, response.NextUpdate, now)
		err = s.Store.PutOCSPResponse(ctx, store.OCSPResponse{Fingerprint: w.fingerprint, Response: der, FetchedAt: now})
		if err != nil {
			s.Logger.WarnContext(ctx, "store an OCSP response", "error", err) // it is used all the same
		}
	}
	s.mu.Lock()
	changed := !slices.Equal(w.response, next.response)
	w.take(next.response, next.from, next.until, now)
	w.due = next.due
	users := slices.Sorted(maps.Keys(w.users))
	s.mu.Unlock()
	if !changed {
		return
	}
	for _, id := range users {
		s.Changed(ctx, id)
	}
}

// failed puts off the next attempt. What is stapled stays.
func (s *Stapler) failed(ctx context.Context, w *watched, cause error) {
	s.mu.Lock()
	w.revoked = errors.Is(cause, ErrRevoked)
	wait := min(firstRetry<<min(w.failures, 6), lastRetry)
	wait += rand.N(wait / 2) //nolint:gosec // no secret
	w.failures++
	wait = w.beforeItEnds(wait, s.Now())
	w.due = s.Now().Add(wait)
	users, until := slices.Sorted(maps.Keys(w.users)), w.until
	s.mu.Unlock()
	level := slog.LevelWarn
	if errors.Is(cause, ErrRevoked) {
		level = slog.LevelError
	}
	s.Logger.Log(ctx, level, "no OCSP response", "subject", w.leaf.Subject.CommonName, "serial", w.leaf.SerialNumber.Text(16),
		"lbs", users, "stapled_until", until, "retry_in", wait.String(), "error", cause)
}

// tidy deletes the responses of certificates that have been out of use for long.
func (s *Stapler) tidy(ctx context.Context) {
	now := s.Now()
	s.mu.Lock()
	due := now.Sub(s.tidied) >= tidyInterval
	if due {
		s.tidied = now
	}
	inUse := slices.Sorted(maps.Keys(s.watched))
	s.mu.Unlock()
	if !due {
		return
	}
	if _, err := s.Store.KeepOCSPResponses(ctx, inUse, now.Add(-keep)); err != nil && ctx.Err() == nil {
		s.Logger.WarnContext(ctx, "tidy the OCSP responses", "error", err)
	}
}
