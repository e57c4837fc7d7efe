package parity

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// connectionLimit asks what happens above connection_limit, which no exchange reaches. Both serve as many as it says. What
// is above waits in HAProxy until one goes, and is closed by Envoy; when one has gone, both serve another.
func (b *bench) connectionLimit() {
	const limit = 2
	g := newGenerator(0, 0)
	pool := g.id()
	lb := &model.LoadBalancer{
		ID: g.id(), VIPAddress: g.vip(0, 0), AdminStateUp: true,
		Pools: []model.Pool{{ID: pool, AdminStateUp: true, Protocol: model.ProtocolTCP, LBAlgorithm: model.AlgorithmRoundRobin, Members: []model.Member{{
			ID: g.id(), AdminStateUp: true, Address: memberAddress(0, false).String(), ProtocolPort: firstMemberPort, Weight: 1,
		}}}},
	}
	for i, protocol := range []string{model.ProtocolHTTP, model.ProtocolTCP} {
		l := model.Listener{ID: g.id(), AdminStateUp: true, Protocol: protocol, ProtocolPort: listenerPorts[i], ConnectionLimit: limit}
		plainTimeouts(&l)
		if protocol == model.ProtocolTCP {
			l.DefaultPoolID = pool
		}
		lb.Listeners = append(lb.Listeners, l)
	}
	sites, stop := b.batch([]*model.LoadBalancer{lb})
	defer stop()
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		for name, s := range map[string]*sender{"HAProxy": sites[0].haproxy, "Envoy": sites[0].envoy} {
			var held []*conversation
			ask := func() string {
				c := &conversation{sender: s, exchange: &exchange{}, result: &outcome{}}
				held = append(held, c)
				return c.ask(b.t.Context(), l)
			}
			for range limit {
				if answer := ask(); answer != "" {
					b.t.Errorf("%s, %s: below the limit: %s", name, l.Protocol, answer)
				}
			}
			first, answers := held[0], make(chan string, 1)
			go func() { answers <- ask() }()
			if name == "HAProxy" {
				select {
				case answer := <-answers:
					b.t.Errorf("%s, %s: above the limit: %q at once", name, l.Protocol, answer)
					continue
				case <-time.After(100 * time.Millisecond): // the less, the less this sees: it fails nothing
				}
				_ = first.connection.Close()
				if answer := <-answers; answer != "" {
					b.t.Errorf("%s, %s: when one has gone: %s", name, l.Protocol, answer)
				}
			} else {
				if answer := <-answers; answer != "closed" && answer != "reset" {
					b.t.Errorf("%s, %s: above the limit: %q", name, l.Protocol, answer)
				}
				_ = first.connection.Close()
				b.eventually(func() string { return ask() }, fmt.Sprintf("%s, %s: when one has gone", name, l.Protocol))
			}
			for _, c := range held {
				_ = c.connection.Close()
			}
		}
	}
}

// ask opens a connection and waits for one answer on it, whatever that is. It returns how that failed, or "".
func (c *conversation) ask(ctx context.Context, l *model.Listener) string {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(c.vips[0], uint16(l.ProtocolPort)).String())
	if err != nil {
		return ending(err)
	}
	c.connection = connection.(stream)
	c.hurry()
	id, request := c.id(), []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if l.Protocol == model.ProtocolTCP {
		request = record(id + " x")
	}
	c.write(request, false)
	if _, err := c.connection.Read(make([]byte, 1)); err != nil {
		return ending(err)
	}
	c.seen.take(id)
	return ""
}

// eventually asks until there is an answer.
func (b *bench) eventually(ask func() string, what string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		answer := ask()
		if answer == "" {
			return
		}
		if time.Now().After(deadline) {
			b.t.Errorf("%s: %s", what, answer)
			return
		}
	}
}
