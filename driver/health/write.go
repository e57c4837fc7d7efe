package health

import (
	"context"
	"errors"

	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// write brings what the store has of a load balancer's amphorae up to date. The store is the only memory: another replica
// may have heard the amphora meanwhile.
func (k *Keeper) write(ctx context.Context, id string) {
	k.mu.Lock()
	news := k.pending[id]
	delete(k.pending, id)
	if news != nil {
		k.written[id] = k.Now()
	}
	k.mu.Unlock()
	if news == nil {
		return
	}
	err := k.put(ctx, id, news)
	switch {
	case err == nil:
	case errors.Is(err, store.ErrNotFound):
		// The load balancer is deleted, and its amphora on the way out.
	default:
		if ctx.Err() == nil {
			k.Logger.Error("keep what amphorae see", "lb", id, "error", err)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		// Newer news may have come.
		if newer := k.pending[id]; newer != nil {
			for amphora, n := range newer.amphorae {
				news.add(amphora, n)
			}
		}
		k.pending[id] = news
	}
}

func (k *Keeper) put(ctx context.Context, id string, news *pending) error {
	known, err := k.Store.AmphoraHealth(ctx, id)
	if err != nil {
		return err
	}
	changes := 0
	var views []store.AmphoraHealth
	for _, amphora := range known {
		said := news.amphorae[amphora.AmphoraID]
		if said == nil {
			continue
		}
		// A view that cannot be read is replaced.
		view, _ := status.DecodeView(amphora.View)
		changed := said.apply(&view, k.Now().UTC())
		if changed == 0 && amphora.View != nil {
			continue
		}
		if amphora.View == nil && !said.whole {
			// The whole comes first, unless this controller lost it: without it nothing is known of what is not named.
			continue
		}
		body, err := view.Encode()
		if err != nil {
			return err
		}
		changes += changed
		views = append(views, store.AmphoraHealth{AmphoraID: amphora.AmphoraID, View: body})
	}
	if len(views) == 0 {
		return nil
	}
	unsettled, err := k.Store.PutAmphoraHealth(ctx, id, views)
	if err != nil {
		return err
	}
	k.metrics.changes.Add(float64(changes))
	if unsettled {
		k.metrics.coalesced.Add(float64(changes))
	}
	return nil
}
