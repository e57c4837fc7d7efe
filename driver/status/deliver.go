package status

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// patience is how often a record may be refused, for a reason that will not pass, before it is left out.
const patience = 5

// deliver sends one message, or drops it, or notes when to try again. It returns true when the message is done with.
func (s *Sender) deliver(ctx context.Context, turn *turn) bool {
	message := turn.message
	log := s.Logger.With("lb", message.LoadBalancerID, "message", message.ID)
	if err := turn.acquire(ctx); err != nil {
		if !errors.Is(err, errElsewhere) && ctx.Err() == nil {
			log.Error("ask for the right to send", "error", err)
		}
		return false // it stays due
	}
	deletes := endsLoadBalancer(message)
	if !deletes && s.ended.contains(message.LoadBalancerID) {
		// The agent would bring the load balancer back to life.
		log.Error("a status came after the load balancer was reported DELETED: dropped")
		s.metrics.messages.WithLabelValues(outcomeDropped).Inc()
		return s.sent(ctx, message, log)
	}
	superseded, err := s.superseded(ctx, message)
	switch {
	case errors.Is(err, store.ErrNotFound):
		// It was sent since it was looked up, by this controller or another.
		return true
	case err != nil:
		// Not knowing, it is not sent; it stays due.
		log.Error("look for a newer call", "error", err)
		return false
	case superseded:
		log.Info("status dropped: Octavia has it already, it accepted a newer call")
		s.metrics.messages.WithLabelValues(outcomeDropped).Inc()
		return s.dropped(ctx, message, log)
	}
	begin := s.Now()
	err = s.send(ctx, turn, log)
	s.metrics.seconds.Observe(s.Now().Sub(begin).Seconds())
	if err == nil {
		if deletes {
			s.ended.add(message.LoadBalancerID)
		}
		s.metrics.messages.WithLabelValues(outcomeSent).Inc()
		log.Info("status sent to Octavia", "records", records(message.Status))
		return s.sent(ctx, message, log)
	}
	if ctx.Err() != nil || errors.Is(err, errElsewhere) {
		// The process ends, or stood still for long. The message stays due.
		return false
	}
	s.metrics.messages.WithLabelValues(outcomeFailed).Inc()
	s.mu.Lock()
	s.waiting[message.ID] = message.CreatedAt
	s.mu.Unlock()
	next := s.Now().Add(pause(message.Attempts))
	log.Warn("status not sent: trying again", "error", err, "attempts", message.Attempts+1, "next", next)
	err = s.Outbox.OutboxFailed(ctx, message.ID, err.Error(), next)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		log.Error("note the failed status", "error", err)
	}
	return false
}

// superseded reports whether Octavia must have the message already.
//
// A message ends a provider call: until it has been applied, up to its last record, the load balancer's, that load
// balancer is PENDING in Octavia, and Octavia refuses every other call for it before the driver hears of it. So a newer
// intent means that the message was applied in full and only the answer, or our note of it, was lost. To send it again
// would end the newer call's PENDING too early. (What the resync adds as intents are no calls; it leaves load balancers
// alone that have a message here.) A message for a load balancer that was not PENDING may get lost by this: how objects
// operate by it is reported again, see Outbox.OutboxDropped, the rest by the newer call or the resync.
//
// This is not for DELETED: there is no call after it. Nor is it for messages that only say how objects operate: those end no
// call, so that a newer one proves nothing.
func (s *Sender) superseded(ctx context.Context, message store.OutboxMessage) (bool, error) {
	newer, err := s.Outbox.HasNewerIntent(ctx, message)
	return newer && endsCall(message.Status) && !endsLoadBalancer(message), err
}

// endsCall reports whether a message says anything of how objects are provisioned.
func endsCall(update model.StatusUpdate) bool {
	return slices.ContainsFunc(kinds(), func(kind model.Kind) bool {
		return slices.ContainsFunc(*update.Records(kind), func(record model.ObjectStatus) bool {
			return record.ProvisioningStatus != ""
		})
	})
}

// send sends the message, in parts if it is long, between which others have their turn.
func (s *Sender) send(ctx context.Context, turn *turn, log *slog.Logger) error {
	first := true
	for part := range parts(turn.message.Status) {
		if !first {
			if err := turn.yield(ctx); err != nil {
				return err
			}
		}
		first = false
		if err := s.sendPart(ctx, turn, part, log); err != nil {
			return err
		}
	}
	return nil
}

// sendPart sends a part of a message, without the records that Octavia cannot take.
func (s *Sender) sendPart(ctx context.Context, turn *turn, update model.StatusUpdate, log *slog.Logger) error {
	for {
		if err := turn.acquire(ctx); err != nil {
			return err
		}
		err := s.Agent.Update(ctx, update)
		var refused *RecordError
		if !errors.As(err, &refused) {
			return err
		}
		ref := model.Ref{Kind: refused.Kind, ID: refused.ID}
		reason := ""
		switch {
		case gone(refused):
			reason = reasonGone
		case s.poisonous(turn.message.ID, refused):
			reason = reasonRefused
		default:
			return err
		}
		if !leaveOut(&update, ref) {
			return err
		}
		s.metrics.records.WithLabelValues(reason).Inc()
		level := slog.LevelInfo
		if reason == reasonRefused {
			level = slog.LevelError
		}
		log.Log(ctx, level, "record left out of a status", "kind", ref.Kind, "id", ref.ID, "reason", reason, "error", refused.Fault)
		if update.Empty() {
			return nil
		}
	}
}

// gone reports whether the agent refused a record because Octavia does not have the object any more. Updates of listeners,
// policies and rules say "not found"; a DELETED load balancer that was purged already is a None in Octavia's code. "No row was
// found" is SQLAlchemy's NoResultFound: a record that is just being deleted by the agent's process for an earlier attempt,
// which goes on though nobody waits for it any more.
func gone(refused *RecordError) bool {
	if refused.Kind == model.KindLoadBalancer {
		return strings.Contains(refused.Fault, "'NoneType' object has no attribute 'vip'")
	}
	return strings.HasSuffix(strings.TrimSuffix(strings.TrimSpace(refused.Fault), "."), "not found") ||
		strings.Contains(refused.Fault, "No row was found when one was required")
}

// poisonous counts a refusal and reports whether the record is to be left out. The load balancer's own record never is,
// it ends the lock; nor is any because Octavia's database is in trouble.
func (s *Sender) poisonous(message int64, refused *RecordError) bool {
	if refused.Kind == model.KindLoadBalancer || passing(refused.Fault) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := s.refusals[message]
	if counts == nil {
		counts = map[model.Ref]int{}
		s.refusals[message] = counts
	}
	ref := model.Ref{Kind: refused.Kind, ID: refused.ID}
	counts[ref]++
	return counts[ref] >= patience
}

// passing reports whether a fault says that the database, not the record, is at fault (DB-API and oslo.db class names).
func passing(fault string) bool {
	fault = strings.ToLower(fault)
	trouble := []string{"operationalerror", "interfaceerror", "connection", "deadlock", "lock wait", "locknotavailable", "timeout"}
	return slices.ContainsFunc(trouble, func(sign string) bool { return strings.Contains(fault, sign) })
}

// sent notes that a message is done with, even while the process ends. It returns false if that failed.
func (s *Sender) sent(ctx context.Context, message store.OutboxMessage, log *slog.Logger) bool {
	return s.end(ctx, message, log, func(ctx context.Context) error { return s.Outbox.OutboxSent(ctx, message.ID) })
}

// dropped is sent for a message that was not sent.
func (s *Sender) dropped(ctx context.Context, message store.OutboxMessage, log *slog.Logger) bool {
	return s.end(ctx, message, log, func(ctx context.Context) error { return s.Outbox.OutboxDropped(ctx, message) })
}

func (s *Sender) end(ctx context.Context, message store.OutboxMessage, log *slog.Logger, note func(context.Context) error) bool {
	s.mu.Lock()
	delete(s.refusals, message.ID)
	delete(s.waiting, message.ID)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookkeeping)
	defer cancel()
	if err := note(ctx); err != nil {
		log.Error("note the sent status", "error", err)
		return false
	}
	if s.Sent != nil {
		s.Sent()
	}
	return true
}

// endsLoadBalancer reports whether a message says that its load balancer is DELETED.
func endsLoadBalancer(message store.OutboxMessage) bool {
	return slices.ContainsFunc(message.Status.LoadBalancers, func(record model.ObjectStatus) bool {
		return record.ID == message.LoadBalancerID && record.ProvisioningStatus == model.ProvisioningDeleted
	})
}

// leaveOut removes an object's records; false if there are none.
func leaveOut(update *model.StatusUpdate, ref model.Ref) bool {
	list := update.Records(ref.Kind)
	before := len(*list)
	*list = slices.DeleteFunc(*list, func(record model.ObjectStatus) bool { return record.ID == ref.ID })
	return len(*list) < before
}

func records(update model.StatusUpdate) int {
	count := 0
	for _, kind := range kinds() {
		count += len(*update.Records(kind))
	}
	return count
}
