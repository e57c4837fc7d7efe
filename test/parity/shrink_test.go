package parity

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// probe looks for what nothing allows.
type probe func(ctx context.Context, s *site, x *exchange) (*trial, []difference)

// attempts is how often a candidate is tried: which member is met is chance.
const attempts = 3

// shows reports whether the same thing differs, and how.
func shows(ctx context.Context, p probe, s *site, x *exchange, kind string) (*trial, []difference) {
	for range attempts {
		t, found := p(ctx, s, x)
		if slices.ContainsFunc(found, func(d difference) bool { return d.kind() == kind }) {
			return t, found
		}
	}
	return nil, nil
}

// shrinkTime is how long a difference is made small, and a little more: some take as long as a timeout each time.
const shrinkTime = 30 * time.Second

// shrink makes the load balancer and the exchange small, as long as the same thing differs. It returns nil when the
// difference does not show again.
func (b *bench) shrink(ctx context.Context, p probe, lb *model.LoadBalancer, x *exchange, kind string) (*trial, []difference) {
	var last *trial
	var differences []difference
	for shrunk, deadline := true, time.Now().Add(shrinkTime); shrunk && time.Now().Before(deadline); {
		shrunk = false
		sites, stop := b.batch([]*model.LoadBalancer{lb})
		for next := x; next != nil; {
			if t, found := shows(ctx, p, sites[0], next, kind); t != nil {
				last, differences, x = t, found, next
			} else if last == nil {
				stop()
				return nil, nil
			}
			next = nil
			for _, candidate := range smallerExchanges(x) {
				if t, _ := shows(ctx, p, sites[0], candidate, kind); t != nil {
					next = candidate
					break
				}
			}
		}
		stop()
		for candidates := range slices.Chunk(smallerTrees(lb, x), batchSize) {
			trees := make([]*model.LoadBalancer, len(candidates))
			for i := range candidates {
				trees[i] = candidates[i].lb
			}
			sites, stop := b.batch(trees)
			for i, s := range sites {
				if t, found := shows(ctx, p, s, candidates[i].x, kind); t != nil {
					lb, x, last, differences, shrunk = s.lb, candidates[i].x, t, found, true
					break
				}
			}
			stop()
			if shrunk {
				break
			}
		}
	}
	return last, differences
}

// smallerExchanges are all that have one thing less.
func smallerExchanges(x *exchange) []*exchange {
	var all []*exchange
	with := func(change func(*exchange)) {
		smaller := *x
		smaller.Requests = slices.Clone(x.Requests)
		smaller.Records = slices.Clone(x.Records)
		change(&smaller)
		if !reflect.DeepEqual(&smaller, x) {
			all = append(all, &smaller)
		}
	}
	for i := range x.Requests {
		if len(x.Requests) > 1 {
			with(func(s *exchange) { s.Requests = slices.Delete(s.Requests, i, i+1) })
		}
	}
	for i := range x.Records {
		if len(x.Records) > 1 {
			with(func(s *exchange) { s.Records = slices.Delete(s.Records, i, i+1) })
		} else if len(x.Records[i]) > 1 {
			with(func(s *exchange) { s.Records[i] = "x" })
		}
	}
	with(func(s *exchange) { s.Pipelined = false })
	with(func(s *exchange) { s.Browser = false })
	with(func(s *exchange) { s.Reconnect = false })
	with(func(s *exchange) { s.Dribble = false })
	with(func(s *exchange) { s.HalfClose = false })
	with(func(s *exchange) { s.VIP = 0 })
	with(func(s *exchange) { s.Client = 0 })
	if x.TLS != nil {
		for _, change := range []func(*tlsClient){
			func(c *tlsClient) { c.SNI = "" }, func(c *tlsClient) { c.Certificate = "" }, func(c *tlsClient) { c.Certificate = "plain" },
			func(c *tlsClient) { c.Version = "" }, func(c *tlsClient) { c.ALPN = nil }, func(c *tlsClient) { c.Ciphers = nil },
		} {
			client := *x.TLS
			if change(&client); client.Certificate == x.TLS.Certificate || x.TLS.Certificate != "plain" || client.Certificate == "" {
				with(func(s *exchange) { s.TLS = &client })
			}
		}
	}
	for i := range x.Requests {
		r := &x.Requests[i]
		if r.Raw != "" {
			continue
		}
		for j := range r.Headers {
			if strings.EqualFold(r.Headers[j].Name, "host") && r.Version == "HTTP/1.1" {
				continue // that is a difference of its own
			}
			with(func(s *exchange) { s.Requests[i].Headers = slices.Delete(slices.Clone(r.Headers), j, j+1) })
			if strings.Contains(string(r.Headers[j].Value), "*") {
				with(func(s *exchange) {
					s.Requests[i].Headers = slices.Clone(r.Headers)
					s.Requests[i].Headers[j].Value = "x"
				})
			}
		}
		if r.Framing != "" {
			with(func(s *exchange) { s.Requests[i].Body, s.Requests[i].Framing, s.Requests[i].Trailers = "", "", nil })
			if len(r.Body) > 1 {
				with(func(s *exchange) { s.Requests[i].Body = "x" })
			}
		}
		if r.Framing == framingChunked {
			with(func(s *exchange) { s.Requests[i].Framing, s.Requests[i].Trailers = framingLength, nil })
		}
		if r.Trailers != nil {
			with(func(s *exchange) { s.Requests[i].Trailers = nil })
		}
		if r.Method != "GET" {
			with(func(s *exchange) { s.Requests[i].Method = "GET" })
		}
		if r.Target != "/" {
			with(func(s *exchange) { s.Requests[i].Target = "/" })
			if target, _, query := strings.Cut(string(r.Target), "?"); query {
				with(func(s *exchange) { s.Requests[i].Target = text(target) })
			}
		}
		if r.Version != "HTTP/1.1" {
			with(func(s *exchange) { s.Requests[i].Version = "HTTP/1.1" })
		}
	}
	return all
}

type candidate struct {
	lb *model.LoadBalancer
	x  *exchange
}

// smallerTrees are all that have one object or option less, and the exchange for each.
func smallerTrees(lb *model.LoadBalancer, x *exchange) []candidate {
	var all []candidate
	with := func(change func(*model.LoadBalancer, *exchange)) {
		c := candidate{clone(lb), new(exchange)}
		*c.x = *x
		change(c.lb, c.x)
		if !reflect.DeepEqual(c.lb, lb) && len(capabilities.Check(c.lb)) == 0 {
			all = append(all, c)
		}
	}
	for i := range lb.Listeners {
		if i == x.Listener {
			continue
		}
		with(func(lb *model.LoadBalancer, x *exchange) {
			lb.Listeners = slices.Delete(lb.Listeners, i, i+1)
			if i < x.Listener {
				x.Listener--
			}
		})
	}
	if x.VIP == 0 {
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.AdditionalVIPs = nil })
	}
	for i := range lb.Pools {
		with(func(lb *model.LoadBalancer, _ *exchange) { withoutPool(lb, i) })
		for j := range lb.Pools[i].Members {
			with(func(lb *model.LoadBalancer, _ *exchange) {
				lb.Pools[i].Members = slices.Delete(lb.Pools[i].Members, j, j+1)
			})
			with(func(lb *model.LoadBalancer, _ *exchange) { lb.Pools[i].Members[j].Weight = 1 })
			with(func(lb *model.LoadBalancer, _ *exchange) { lb.Pools[i].Members[j].Backup = false })
			with(func(lb *model.LoadBalancer, _ *exchange) { lb.Pools[i].Members[j].AdminStateUp = true })
		}
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.Pools[i].SessionPersistence = nil })
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.Pools[i].LBAlgorithm = model.AlgorithmRoundRobin })
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.Pools[i].AdminStateUp = true })
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.Pools[i].CRLContainerRef = "" })
		with(func(lb *model.LoadBalancer, _ *exchange) {
			lb.Pools[i].CATLSContainerRef, lb.Pools[i].CRLContainerRef = "", ""
		})
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.Pools[i].TLSContainerRef = "" })
		with(func(lb *model.LoadBalancer, _ *exchange) {
			lb.Pools[i].TLSVersions, lb.Pools[i].TLSCiphers, lb.Pools[i].ALPNProtocols = nil, "", nil
		})
	}
	for i := range lb.Listeners {
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.Listeners[i].DefaultPoolID = "" })
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.Listeners[i].InsertHeaders = nil })
		with(func(lb *model.LoadBalancer, _ *exchange) { plainTimeouts(&lb.Listeners[i]) })
		with(func(lb *model.LoadBalancer, _ *exchange) {
			lb.Listeners[i].ConnectionLimit = model.UnlimitedConnections
		})
		with(func(lb *model.LoadBalancer, _ *exchange) { lb.Listeners[i].AllowedCIDRs = nil })
		for name := range lb.Listeners[i].InsertHeaders {
			with(func(lb *model.LoadBalancer, _ *exchange) { delete(lb.Listeners[i].InsertHeaders, name) })
		}
		for _, change := range plainTLS() {
			with(func(lb *model.LoadBalancer, _ *exchange) { change(&lb.Listeners[i]) })
		}
		for j := range lb.Listeners[i].L7Policies {
			with(func(lb *model.LoadBalancer, _ *exchange) {
				lb.Listeners[i].L7Policies = slices.Delete(lb.Listeners[i].L7Policies, j, j+1)
			})
			for k := range lb.Listeners[i].L7Policies[j].Rules {
				with(func(lb *model.LoadBalancer, _ *exchange) {
					policy := &lb.Listeners[i].L7Policies[j]
					policy.Rules = slices.Delete(policy.Rules, k, k+1)
				})
			}
		}
	}
	return all
}

func withoutPool(lb *model.LoadBalancer, i int) {
	id := lb.Pools[i].ID
	lb.Pools = slices.Delete(lb.Pools, i, i+1)
	for j := range lb.Listeners {
		l := &lb.Listeners[j]
		if l.DefaultPoolID == id {
			l.DefaultPoolID = ""
		}
		l.L7Policies = slices.DeleteFunc(l.L7Policies, func(p model.L7Policy) bool { return p.RedirectPoolID == id })
	}
}

func plainTimeouts(l *model.Listener) {
	l.TimeoutClientData, l.TimeoutMemberData = model.DefaultTimeoutClientData, model.DefaultTimeoutMemberData
	l.TimeoutMemberConnect, l.TimeoutTCPInspect = model.DefaultTimeoutMemberConnect, 0
}
