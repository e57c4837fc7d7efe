package status

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/driver/fair"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

const (
	// senderParallel is well below the 50 requests that the driver-agent serves at once on a socket. One project has half of them.
	senderParallel = 16
	senderPoll     = time.Second
	// Between two attempts to send a message, doubling from the first to the last.
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
	// sendingTTL is how long nobody else sends the messages of a load balancer of which a replica has died in between. It is longer
	// than two answers of the driver-agent take, for it is extended before each part of a message that comes after renewAfter.
	sendingTTL = 90 * time.Second
	renewAfter = 20 * time.Second
	// bookkeeping bounds the note that a message was sent, also while the process ends.
	bookkeeping = 5 * time.Second
)

// Outbox is what the Sender needs of package store.
type Outbox interface {
	// Outbox returns messages that are due, at most one a load balancer: its oldest.
	Outbox(ctx context.Context, now time.Time) ([]store.OutboxMessage, error)
	OutboxSent(ctx context.Context, id int64) error
	// OutboxDropped takes a message that was not sent; how objects operate by it will be reported again.
	OutboxDropped(ctx context.Context, message store.OutboxMessage) error
	OutboxFailed(ctx context.Context, id int64, cause string, next time.Time) error
	// AcquireSending gives owner the sole right to send the messages of a load balancer, or extends it, and says whether it has it.
	AcquireSending(ctx context.Context, loadBalancerID, owner string, ttl time.Duration) (bool, error)
	ReleaseSending(ctx context.Context, loadBalancerID, owner string) error
	// HasNewerIntent reports whether a call for the message's load balancer was accepted after the message was written.
	HasNewerIntent(ctx context.Context, message store.OutboxMessage) (bool, error)
}

// Updater sends one status message; Agent does.
type Updater interface {
	Update(ctx context.Context, update model.StatusUpdate) error
}

// SenderOptions is what a Sender needs.
type SenderOptions struct {
	Outbox Outbox
	Agent  Updater
	Logger *slog.Logger
	// Owner names this replica; "" when it is the only one.
	Owner string
	// Sent is called when a message is out of the outbox; it may be nil.
	Sent func()
	// Registry takes the metrics; nil keeps none.
	Registry prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Sender sends the store's outbox to the driver-agent: the messages of a load balancer in order, those of different ones
// side by side, each until it has been taken. The rows outlive the process; a message may be sent twice, which changes
// nothing, but not by two replicas side by side: that could bring an old one after a newer.
//
// The projects share the places, and a long message is sent part by part, with others' between: nobody waits for more than
// the parts that are on their way.
type Sender struct {
	SenderOptions
	wake    chan struct{}
	turns   *fair.Turns
	metrics senderMetrics

	mu sync.Mutex
	// sending holds the load balancers whose oldest message is on its way.
	sending map[string]bool
	// refusals counts per message and record how often the agent refused it.
	refusals map[int64]map[model.Ref]int
	// waiting holds when the messages were written that failed before and are not due.
	waiting map[int64]time.Time
	ended   ended
}

// NewSender makes a Sender; nothing runs before Run.
func NewSender(options SenderOptions) *Sender {
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Sender{
		SenderOptions: options,
		wake:          make(chan struct{}, 1),
		turns:         fair.NewTurns(senderParallel),
		metrics:       newSenderMetrics(options.Registry),
		sending:       map[string]bool{},
		refusals:      map[int64]map[model.Ref]int{},
		waiting:       map[int64]time.Time{},
		ended:         ended{has: map[string]bool{}},
	}
}

// Wake makes the Sender look for messages now.
func (s *Sender) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends, then waits for what is on its way.
func (s *Sender) Run(ctx context.Context) error {
	ticker := time.NewTicker(senderPoll)
	defer ticker.Stop()
	var workers sync.WaitGroup
	defer workers.Wait()
	for {
		due, err := s.Outbox.Outbox(ctx, s.Now())
		if err != nil && ctx.Err() == nil {
			s.Logger.Error("read the status outbox", "error", err)
		}
		if err == nil {
			s.metrics.oldest.Set(s.oldest(due).Seconds())
		}
		for _, message := range due {
			if !s.start(message.LoadBalancerID) {
				continue
			}
			workers.Go(func() {
				next := s.turn(ctx, message)
				s.done(message.LoadBalancerID)
				if next {
					s.Wake()
				}
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		case <-ticker.C:
		}
	}
}

func (s *Sender) start(loadBalancerID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending[loadBalancerID] {
		return false
	}
	s.sending[loadBalancerID] = true
	return true
}

func (s *Sender) done(loadBalancerID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sending, loadBalancerID)
}

// turn waits for the project's turn. It returns true when the load balancer's next message may be looked for at once.
func (s *Sender) turn(ctx context.Context, message store.OutboxMessage) bool {
	turn := &turn{sender: s, message: message}
	if turn.take(ctx) != nil {
		return false
	}
	defer turn.end(ctx)
	return s.deliver(ctx, turn)
}

// oldest is the age of the oldest message that is not sent.
func (s *Sender) oldest(due []store.OutboxMessage) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var age time.Duration
	for _, written := range s.waiting {
		age = max(age, s.Now().Sub(written))
	}
	for _, message := range due {
		age = max(age, s.Now().Sub(message.CreatedAt))
	}
	return age
}

// pause is the wait before the next attempt, half of it by chance, so that many load balancers do not come at once after
// an absence of the driver-agent.
func pause(attempts int) time.Duration {
	wait := lastPause
	if attempts < 8 {
		wait = min(firstPause<<max(attempts, 0), lastPause)
	}
	return wait/2 + rand.N(wait/2) //nolint:gosec // spreads load, no secret
}
