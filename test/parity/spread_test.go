package parity

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// spreadLimit is how many requests may go by until every member that may answer has: the rarest has one of 10 in weight.
const spreadLimit = 250

// spread asks the same of both until the same members have answered. Which of them answers a single request is each
// proxy's own choice; which ones ever do is not.
func spread(ctx context.Context, s *site, x *exchange) (*trial, []difference) {
	var last *trial
	haproxy, envoy := map[netip.AddrPort]bool{}, map[netip.AddrPort]bool{}
	for i := range spreadLimit {
		one := *x
		one.Client = x.Client + i
		last = s.try(ctx, &one)
		note(haproxy, last.haproxy)
		note(envoy, last.envoy)
		if i >= 8 && maps.Equal(haproxy, envoy) {
			return last, nil
		}
	}
	return last, []difference{{Step: 0, Where: "members", HAProxy: names(haproxy), Envoy: names(envoy)}}
}

func note(all map[netip.AddrPort]bool, o *outcome) {
	for i := range o.Steps {
		if s := o.Steps[i].Seen; len(s) > 0 {
			all[s[len(s)-1].Member] = true
		}
	}
}

func names(all map[netip.AddrPort]bool) string {
	var texts []string
	for member := range all {
		texts = append(texts, member.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// spreadable returns an exchange for each pool that one reached, with a single request: none of its members is met by
// luck of persistence.
func spreadable(trials []*trial) []*exchange {
	var all []*exchange
	pools := map[string]bool{}
	for _, t := range trials {
		for i := range min(len(t.haproxy.Steps), len(t.exchange.Requests)) {
			this := t.haproxy.Steps[i]
			if !t.samePool(i) || t.exchange.Requests[i].Raw != "" {
				continue
			}
			pool := t.pool(this.Seen[0].Member)
			if pool == nil || pools[pool.ID] || hasDead(*pool) {
				continue
			}
			if len(t.listener().AllowedCIDRs) > 0 && bySource(pool) {
				continue // the few that are allowed need not meet all members
			}
			pools[pool.ID] = true
			x := &exchange{Listener: t.exchange.Listener, TLS: t.exchange.TLS, Requests: []request{t.exchange.Requests[i]}}
			x.Requests[0].Headers = slices.DeleteFunc(slices.Clone(x.Requests[0].Headers), func(h header) bool { return h.Name == headerAnswer })
			all = append(all, x)
		}
	}
	return all
}

// bySource reports whether a client's address picks its member.
func bySource(p *model.Pool) bool {
	return p.LBAlgorithm == model.AlgorithmSourceIP || p.SessionPersistence != nil && p.SessionPersistence.Type == "SOURCE_IP"
}
