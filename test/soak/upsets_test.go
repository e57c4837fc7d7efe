package soak

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// upsets are what happens to the programs, by name. The first ones restart the controller.
func (k *soak) upsets() (restarts, others map[string]func()) {
	restart := func(signal syscall.Signal) func() {
		return func() {
			k.w.stop(signal)
			// What a user asks for meanwhile is rolled back.
			err := k.w.call(k.lb, func(c *call) bool { return k.changes["listener: name"](c) })
			if !errors.Is(err, errUnreachable) {
				k.t.Errorf("a call without a controller: %v", err)
			}
			k.w.start()
		}
	}
	restarts = map[string]func(){
		"controller: stop and start": restart(syscall.SIGTERM),
		"controller: kill and start": restart(syscall.SIGKILL),
	}
	others = map[string]func(){
		"streams: cut": k.w.way.cut,
		"agent: kill":  func() { k.w.amphoraOf(k.lb).signal("--config", unix.SIGKILL) },
		"Envoy: slow": func() {
			a := k.w.amphoraOf(k.lb)
			began := time.Now()
			a.signal("--config-path", unix.SIGSTOP)
			// What is tested is an Envoy that does nothing for so long.
			time.Sleep(time.Second + time.Duration(k.site.pick(1000))*time.Millisecond)
			a.signal("--config-path", unix.SIGCONT)
			k.stood = append(k.stood, span{began, time.Now()})
		},
		"guest: create or delete": k.guest,
		"refusal":                 k.refusal,
	}
	return restarts, others
}

// guest is another load balancer that comes, with all that is below it in one call, and goes in a cascade.
func (k *soak) guest() {
	exists, locked := k.w.has(k.guestID)
	switch {
	case locked:
		return
	case !exists:
		lb := k.site.base()
		lb.Name, lb.VIPAddress = "guest", k.site.guestVIP
		lb.Flavor = one(k.site, nil, map[string]any{"http3": true}, map[string]any{"compression": map[string]any{"algorithms": []string{"gzip"}}})
		for i := range lb.Listeners {
			lb.Listeners[i].Name = extra + lb.Listeners[i].Name
		}
		k.guestID = lb.ID
		must(k.t, k.w.call(lb.ID, func(c *call) bool {
			c.tree = lb
			for _, ref := range refs(lb) {
				c.pending[ref] = model.ProvisioningPendingCreate
			}
			return c.post("/v1/loadbalancers", loadBalancerDocument(lb))
		}))
	case k.site.pick(3) == 0:
		must(k.t, k.w.call(k.guestID, func(c *call) bool {
			c.lock("")
			return c.post("/v1/loadbalancers/"+k.guestID+"/failover", nil)
		}))
	default:
		k.deleteAll(k.guestID)
	}
}

// deleteAll deletes a load balancer in a cascade.
func (k *soak) deleteAll(id string) {
	k.t.Helper()
	must(k.t, k.w.call(id, func(c *call) bool {
		c.pending[model.Ref{Kind: model.KindLoadBalancer, ID: id}] = model.ProvisioningPendingDelete
		return c.remove("/v1/loadbalancers/" + id + "?cascade=true")
	}))
}

// refusal asks for something that is to be refused, at once and with nothing changed.
func (k *soak) refusal() {
	kinds := map[string]change{
		"SCTP": func(c *call) bool {
			l := k.site.listener(c.tree.ID, "refused", model.ProtocolSCTP, firstExtra, "")
			c.tree.Listeners = append(c.tree.Listeners, l)
			return c.post("/v1/listeners", listenerDocument(&l))
		},
		"a port twice": func(c *call) bool {
			l := k.site.listener(c.tree.ID, "refused", model.ProtocolTCP, portHTTP, "")
			return c.post("/v1/listeners", listenerDocument(&l))
		},
		"UDP by connections": func(c *call) bool {
			p := k.site.pool(c.tree.ID, "refused", model.ProtocolUDP, 1)
			p.LBAlgorithm = model.AlgorithmLeastConnections
			return c.post("/v1/pools", document(p))
		},
		"a member twice": func(c *call) bool {
			p := c.tree.Pools[0]
			return c.post("/v1/pools/"+p.ID+"/members", document(k.site.member(&p, p.Members[0].ProtocolPort)))
		},
		"an expression that is none": func(c *call) bool {
			for _, l := range c.tree.Listeners {
				for _, p := range l.L7Policies {
					return c.post("/v1/l7policies/"+p.ID+"/rules", document(model.L7Rule{
						ID: k.site.id(), L7PolicyID: p.ID, AdminStateUp: true, Type: model.L7TypePath, CompareType: model.L7CompareRegex, Value: "(?!x",
					}))
				}
			}
			return false
		},
		"SCTP monitor": func(c *call) bool {
			p := c.tree.Pools[1]
			return c.post("/v1/healthmonitors", document(k.site.monitor(&p, model.HealthMonitorSCTP)))
		},
		"a limit for UDP": func(c *call) bool {
			l := k.site.listenerOf(c, speaks(model.ProtocolUDP))
			return c.changeListener(l, func() { l.ConnectionLimit = 5 })
		},
		"an unknown key": func(c *call) bool {
			return c.post("/v1/listeners", map[string]any{"listener_id": k.site.id(), "loadbalancer_id": c.tree.ID, "colour": "red"})
		},
		"an unknown listener": func(c *call) bool {
			c.method, c.path, c.body = "PUT", "/v1/listeners/"+k.site.id(), map[string]any{"name": "x"}
			return true
		},
	}
	kind := one(k.site, names(kinds)...)
	err := k.w.call(k.lb, kinds[kind])
	if refused := (*refusedError)(nil); !errors.As(err, &refused) && !errors.Is(err, errNothing) {
		k.t.Errorf("%s is not refused: %v", kind, err)
	}
}
