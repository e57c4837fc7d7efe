package publish

import (
	"context"
	"time"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// retryAfter is how long what was refused is not tried again as it is: a bad resource costs a NACK a second at most, however
// fast changes come. That it is tried again at all is because Envoy may refuse it for what is beside it, as an address that
// another listener has.
const retryAfter = time.Second

// tooSoon says whether a resource was refused, in this version, too short a time ago. Then it counts as refused still.
func (r *run) tooSoon(key server.Key, version, have string, refused map[server.Key]server.Rejection) bool {
	rejection, was := refused[key]
	if !was || rejection.Version != version {
		return false
	}
	at := rejection.At.Add(retryAfter)
	if time.Until(at) <= 0 {
		return false
	}
	r.again[key] = at
	r.result.Rejected[translate.Key(key)] = rejection.Text
	if _, holds := r.publisher.server.Held(r.node, key.TypeURL)[key.Name]; holds && have == version {
		// It was not taken back, since only a controller before us knew what Envoy holds instead.
		r.unknown = true
	}
	return true
}

// retry tries what was refused a short time ago once more, when all else has come into effect and may have healed it.
func (r *run) retry(ctx context.Context) error {
	var last time.Time
	for key, at := range r.again {
		if at.After(last) {
			last = at
		}
		delete(r.result.Rejected, translate.Key(key))
	}
	r.again, r.unknown = map[server.Key]time.Time{}, false
	timer := time.NewTimer(time.Until(last))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for _, phase := range []func(context.Context) error{r.widen, r.warm, r.shift, r.warm, r.narrow} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}
