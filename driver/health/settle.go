package health

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

const (
	// firstPause and lastPause are how long nothing more is said of a load balancer after a message, growing by half with
	// each message while changes go on; a third of what the silence lasted beyond a pause is taken off the next.
	firstPause = time.Second
	lastPause  = 10 * time.Second
	// perRecord is added up to the least pause after a message: the driver-agent needs 2 ms a record, and more when it is
	// busy.
	perRecord = 10 * time.Millisecond
)

// settle says what is to be said of a load balancer now, if anything.
func (k *Keeper) settle(ctx context.Context, id string) {
	log := k.Logger.With("lb", id)
	defer func() {
		// One tenant's tree must not end the controller for all.
		if cause := recover(); cause != nil {
			log.Error("panic while settling", "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
		}
	}()
	said, err := k.Store.Settle(ctx, id, k.decide)
	if err != nil {
		if ctx.Err() == nil {
			log.Error("settle how the load balancer operates", "error", err)
		}
		return
	}
	if said.Empty() {
		return
	}
	k.metrics.messages.Inc()
	log.Info("how the load balancer operates has changed",
		"members", len(said.Members), "pools", len(said.Pools), "listeners", len(said.Listeners))
	k.Report()
}

// decide is pure but for the clock.
func (k *Keeper) decide(known store.Health) store.Settlement {
	if known.Tree == nil {
		// Nothing was published yet; the end of that asks again.
		return store.Settlement{}
	}
	now := k.Now()
	health := status.NewHealth(known, now)
	update := status.Difference(known.Tree, health)
	return store.Settlement{
		Status: update,
		Pause:  pause(known.Pause, now.Sub(known.SpokeAt), len(update.Members)),
		Again:  status.LookAgain(known.Tree, health),
	}
}

// pause is how long to be silent after a message about so many members, given how long that was after the message before and
// how long the silence has been since.
func pause(before, silence time.Duration, members int) time.Duration {
	least := max(firstPause, time.Duration(members)*perRecord)
	if before != 0 {
		// Changes that came only long after the pause was over are no reason for a longer one.
		least = max(least, before+before/2-(silence-before)/3)
	}
	return min(least, lastPause)
}

// lookAround unsettles the load balancers of which an amphora went away or came back: what the others say counts then.
func (k *Keeper) lookAround(ctx context.Context) {
	amphorae, err := k.Store.Amphorae(ctx, "")
	if err != nil {
		if ctx.Err() == nil {
			k.Logger.Error("look for amphorae that are away", "error", err)
		}
		return
	}
	count, away := map[string]int{}, map[string]string{}
	for _, amphora := range amphorae {
		count[amphora.LoadBalancerID]++
		if k.Now().Sub(amphora.LastHeartbeat) > status.AwayAfter {
			away[amphora.LoadBalancerID] += amphora.ID + " "
		}
	}
	for id := range count {
		if count[id] < 2 || away[id] == k.away[id] {
			continue
		}
		k.Logger.Info("amphorae went away or came back", "lb", id, "away", strings.TrimSpace(away[id]))
		if err := k.Store.Unsettle(ctx, id); err != nil {
			if ctx.Err() == nil {
				k.Logger.Error("settle a load balancer anew", "lb", id, "error", err)
			}
			return // the next look finds them again
		}
		k.away[id] = away[id]
	}
	for id := range k.away {
		if count[id] < 2 {
			delete(k.away, id)
		}
	}
}
