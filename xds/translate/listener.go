package translate

import (
	"errors"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// listener adds a listener that passes its checks, with its routes and clusters.
func (t *translation) listener(listener *model.Listener, taken taken) {
	if t.checkListener(listener, taken); len(t.problems) > 0 {
		return
	}
	owner := model.Ref{Kind: model.KindListener, ID: listener.ID}
	if err := t.serve(listener); err != nil {
		var problem *ValidationError
		if !errors.As(err, &problem) {
			problem = refused(owner, err)
		}
		t.problem(problem)
	}
	if terminates(listener) && t.out.Listeners[listener.ID] != nil {
		t.noteCiphers(owner, listener.TLSVersions, listener.TLSCiphers)
	}
}

func (t *translation) serve(listener *model.Listener) error {
	pool := t.pools[listener.DefaultPoolID]
	var filters []*listenerv3.Filter
	var udp *listenerv3.ListenerFilter
	var routes *routev3.RouteConfiguration
	own := ""
	switch listener.Protocol {
	case model.ProtocolHTTP, model.ProtocolTerminatedHTTPS:
		cluster := ""
		if pool != nil {
			name, err := t.httpCluster(listener, pool)
			if err != nil {
				return refused(model.Ref{Kind: model.KindPool, ID: pool.ID}, err)
			}
			cluster = name
		}
		policies, err := t.l7Routes(listener)
		if err != nil {
			return err
		}
		if routes, err = routeConfiguration(listener, policies, pool, cluster); err != nil {
			return err
		}
		if err = t.retryRoutes(routes); err != nil {
			return err
		}
		t.offerHTTP3(listener, routes)
		if filters, err = t.httpFilters(listener); err != nil {
			return err
		}
	case model.ProtocolPrometheus:
		var err error
		if routes, err = metricsRoutes(listener); err != nil {
			return err
		}
		if filters, err = t.httpFilters(listener); err != nil {
			return err
		}
	case model.ProtocolUDP:
		cluster, err := t.ownCluster(listener, pool)
		if err != nil {
			return err
		}
		own = cluster
		if udp, err = t.udpFilter(listener, cluster); err != nil {
			return err
		}
	default:
		cluster, err := t.ownCluster(listener, pool)
		if err != nil {
			return err
		}
		own = cluster
		if filters, err = t.tcpFilters(listener, pool, cluster); err != nil {
			return err
		}
	}
	if !t.lb.AdminStateUp || !listener.AdminStateUp {
		return nil
	}
	message := t.bind(listener)
	if udp != nil {
		listenUDP(message, udp)
	} else if err := errors.Join(t.listenTCP(message, listener, filters), t.logServerName(message, listener)); err != nil {
		return err
	}
	if err := message.ValidateAll(); err != nil {
		return err
	}
	if terminates(listener) {
		if err := t.listenerSecrets(listener); err != nil {
			return err
		}
	}
	owner := model.Ref{Kind: model.KindListener, ID: listener.ID}
	if routes != nil {
		t.out.Routes[listener.ID] = routes
		t.out.Owners[Key{resourcev3.RouteType, listener.ID}] = owner
	}
	t.use(own, routes)
	t.out.Listeners[listener.ID] = message
	t.out.Owners[Key{resourcev3.ListenerType, listener.ID}] = owner
	if !t.speaksHTTP3(listener) {
		return nil
	}
	second, err := t.listenHTTP3(listener, message)
	if err != nil {
		return err
	}
	t.out.Listeners[second.GetName()] = second
	t.out.Owners[Key{resourcev3.ListenerType, second.GetName()}] = owner
	return nil
}

// use notes the clusters that a listener sends traffic to: its own one, or those of its routes.
func (t *translation) use(own string, routes *routev3.RouteConfiguration) {
	t.used[own] = true
	for _, host := range routes.GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			t.used[route.GetRoute().GetCluster()] = true
		}
	}
}

// bind returns a listener with its addresses and its port.
func (t *translation) bind(listener *model.Listener) *listenerv3.Listener {
	message := &listenerv3.Listener{
		Name:       listener.ID,
		Address:    socketAddress(t.vips[0], listener.ProtocolPort),
		StatPrefix: listener.ID,
		// The VIP may come later, or be on the other amphora of a pair.
		Freebind: wrapperspb.Bool(true),
	}
	for _, vip := range t.vips[1:] {
		message.AdditionalAddresses = append(message.AdditionalAddresses, &listenerv3.AdditionalAddress{
			Address: socketAddress(vip, listener.ProtocolPort),
		})
	}
	return message
}

// listenTCP puts network filters behind a listener, for the clients that it allows.
func (t *translation) listenTCP(message *listenerv3.Listener, listener *model.Listener, filters []*listenerv3.Filter) error {
	chains, err := filterChains(listener, filters)
	if err != nil {
		return err
	}
	message.FilterChains = chains
	if terminates(listener) {
		// Always, so that nothing that needs it drains the listener: the name that a client asks for (SNI) is told to members,
		// is in the access log, and chooses the filter chain.
		if err := inspectTLS(message); err != nil {
			return err
		}
	}
	message.PerConnectionBufferLimitBytes, message.TcpKeepalive = t.bufferLimit(), t.keepalive()
	if listener.TimeoutTCPInspect > 0 {
		message.ListenerFiltersTimeout = milliseconds(listener.TimeoutTCPInspect)
	}
	message.FilterChainMatcher, err = filterChainMatcher(listener)
	return err
}
