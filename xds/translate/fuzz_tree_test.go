package translate_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// generator makes a tree of the bytes of a fuzzer: each decision takes one, and all of them are 0, the plainest choice,
// when the bytes are at their end. It walks the model by reflection, so that a field that is added is covered.
type generator struct {
	data []byte
	// wild is of how many values one is hostile; 0 is none.
	wild int
}

// tree makes a load balancer. Most of them can be served, so that what follows sees more than refusals.
func tree(data []byte, secrets *vault) *model.LoadBalancer {
	g := &generator{data: data}
	g.wild = []int{0, 0, 64, 16, 4}[g.below(5)]
	lb := &model.LoadBalancer{}
	g.object(reflect.ValueOf(lb).Elem())
	g.connect(lb)
	secrets.fill(lb)
	return lb
}

func (g *generator) below(limit int) int {
	if len(g.data) == 0 || limit < 2 {
		return 0
	}
	value := int(g.data[0])
	g.data = g.data[1:]
	if limit > 256 && len(g.data) > 0 {
		value += int(g.data[0]) << 8
		g.data = g.data[1:]
	}
	return value % limit
}

// rarely is true once in n.
func (g *generator) rarely(n int) bool { return g.below(n) == 1 }

func (g *generator) hostile() bool { return g.wild > 0 && g.rarely(g.wild) }

func pick[T any](g *generator, all []T) T { return all[g.below(len(all))] }

// object fills a struct of the model, which has Octavia's defaults first.
func (g *generator) object(target reflect.Value) {
	if err := json.Unmarshal([]byte("{}"), target.Addr().Interface()); err != nil {
		panic(err)
	}
	for i := range target.NumField() {
		name, _, _ := strings.Cut(target.Type().Field(i).Tag.Get("json"), ",")
		g.field(target.Field(i), target.Type().Name()+"."+name)
	}
}

func (g *generator) field(target reflect.Value, name string) {
	switch target.Kind() {
	case reflect.Struct:
		g.object(target)
	case reflect.Pointer:
		if g.wanted(name) {
			target.Set(reflect.New(target.Type().Elem()))
			g.field(target.Elem(), name)
		}
	case reflect.Slice:
		if !g.wanted(name) {
			return
		}
		for range 1 + g.below(3) {
			element := reflect.New(target.Type().Elem()).Elem()
			g.field(element, name)
			target.Set(reflect.Append(target, element))
		}
	case reflect.Map:
		g.mapping(target, name)
	case reflect.Interface:
		if g.hostile() {
			target.Set(reflect.ValueOf(pick(g, []any{"az1", 5.0, true, map[string]any{"compute_zone": "a"}, []any{nil}})))
		}
	case reflect.String:
		target.SetString(g.text(name, target.String()))
	case reflect.Int:
		target.SetInt(g.number(name, target.Int()))
	case reflect.Float64:
		if g.rarely(3) {
			target.SetFloat(pick(g, []float64{1.0, 1.1, 2, -1}))
		}
	case reflect.Bool:
		if g.rarely(8) {
			target.SetBool(!target.Bool())
		}
	}
}

// wanted decides whether there is something that can be left out.
func (g *generator) wanted(name string) bool {
	switch name {
	case "LoadBalancer.listeners", "LoadBalancer.pools", "Pool.members", "L7Policy.rules":
		return !g.rarely(8)
	case "Listener.l7policies", "Listener.allowed_cidrs", "Pool.session_persistence":
		return g.below(3) == 1
	case "LoadBalancer.additional_vips", "Pool.healthmonitor":
		return g.rarely(5)
	}
	if neverServed(name) || strings.HasSuffix(name, "container_data") {
		return g.hostile()
	}
	return g.below(2) == 1
}

// neverServed is true for what is always refused.
func neverServed(name string) bool {
	return name == "Member.vnic_type" || name == "LoadBalancer.vip_qos_policy_id" || name == "LoadBalancer.vip_sg_ids"
}

func (g *generator) mapping(target reflect.Value, name string) {
	if name == "LoadBalancer.flavor" {
		if g.rarely(4) {
			target.Set(reflect.ValueOf(g.flavor()))
		}
		return
	}
	values := reflect.MakeMap(target.Type())
	for range g.below(4) {
		header := pick(g, []string{
			"X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN",
			"X-SSL-Client-CN", "X-SSL-Issuer", "X-SSL-Client-SHA1", "X-SSL-Client-Not-Before", "X-SSL-Client-Not-After",
		})
		if g.hostile() {
			header = pick(g, append(hostileTexts(), "X-SSL-Client-CN", "x-forwarded-for", "X-Real-IP", "Host", ":path"))
		}
		value := pick(g, []string{"true", "false", "True"})
		if g.hostile() {
			value = pick(g, hostileTexts())
		}
		values.SetMapIndex(reflect.ValueOf(header), reflect.ValueOf(value))
	}
	target.Set(values)
}

func (g *generator) text(name, fallback string) string {
	if g.hostile() && (!neverServed(name) || g.hostile()) {
		return pick(g, hostileTexts())
	}
	if name == "L7Rule.value" {
		return g.ruleValue()
	}
	good := slices.Concat(goodTexts()[name], tlsTexts()[name])
	if len(good) == 0 {
		return fallback
	}
	return pick(g, good)
}

// ruleValue is a text that is an expression, too, now and then put together from parts of expressions.
func (g *generator) ruleValue() string {
	if g.below(2) == 0 {
		return pick(g, []string{
			"/", "www.example.org", "a.b", "jpg", "\"a b\"", "a,b;c", "é", "%41%", "%REQ(x)%", "^/a", "x y", "?", "=", "\t", "a\\", "$", "\\\\", "//",
			strings.Repeat("x", 255), strings.Repeat("é", 255), "(a|b", "[", "]", "{1}", "'", "`", "${x}", "*", "+",
		})
	}
	var expression strings.Builder
	for range 1 + g.below(8) {
		expression.WriteString(pick(g, []string{
			"a", "/", ".", "^", "$", "*", "+", "?", "|", "(", ")", "(?:", "(?i)", "(?i:", "(?s)", "(?U)", "[^a-z]", "[[:alpha:]]", "\\d", "\\w+",
			"\\b", "\\B", "\\A", "\\z", "{2}", "{1,}", "{0,1000}", "\\pL", "\\p{Greek}", "[\\x00-\\xff]", "\\x{e9}", "é", "\\Q.\\E", "\\C", "\\n",
			"(?P<n>", "[a", "(?=a)", "\\1", ",", ";", "=", " ", ".*", "(a+)+", "\\.", "[^?]", "\\?", "(?m)",
		}))
	}
	return expression.String()
}

func (g *generator) number(name string, fallback int64) int64 {
	if g.hostile() {
		return pick(g, []int64{-1, -2, -1 << 31, 1 << 31, 1<<63 - 1, -1 << 63, 0, 257, 65536, 4294967296, 2073600001})
	}
	good := goodNumbers()[name]
	if len(good) == 0 {
		return fallback
	}
	return pick(g, good)
}

// connect gives all objects their ids and those of their parents, and has what refers to a pool refer to one that fits.
func (g *generator) connect(lb *model.LoadBalancer) {
	count := 0
	id := func(target *string) {
		count++
		*target = fmt.Sprintf("10000000-0000-4000-8000-%012d", count)
		if g.hostile() {
			*target = pick(g, append(hostileTexts(), "10000000-0000-4000-8000-000000000001"))
		}
	}
	id(&lb.ID)
	for i := range lb.Pools {
		pool := &lb.Pools[i]
		id(&pool.ID)
		pool.LoadBalancerID = lb.ID
		if kept := pool.SessionPersistence; kept != nil && !capabilities.CanServe(model.ProtocolHTTP, pool.Protocol) && !g.hostile() {
			kept.Type = "SOURCE_IP"
		}
		if pool.Protocol == model.ProtocolUDP && pool.LBAlgorithm == model.AlgorithmLeastConnections && !g.hostile() {
			pool.LBAlgorithm = model.AlgorithmRoundRobin
		}
		if monitor := pool.HealthMonitor; monitor != nil {
			id(&monitor.ID)
			monitor.PoolID = pool.ID
			if pool.Protocol == model.ProtocolUDP && !g.hostile() {
				monitor.Type = "UDP-CONNECT"
			}
			if pool.Protocol != model.ProtocolUDP && monitor.Type == model.HealthMonitorUDPConnect && !g.hostile() {
				monitor.Type = model.HealthMonitorTCP
			}
			if !g.hostile() && (monitor.DomainName != "" || monitor.HTTPVersion > 1.1 || monitor.HTTPVersion < 0) {
				monitor.HTTPVersion = 1.1
			}
		}
		g.poolTLS(pool)
		for j := range pool.Members {
			member := &pool.Members[j]
			id(&member.ID)
			member.PoolID = pool.ID
			if j > 0 && !g.hostile() {
				member.ProtocolPort = 9000 + j // else twice the same
			}
		}
	}
	for i := range lb.Listeners {
		listener := &lb.Listeners[i]
		id(&listener.ID)
		listener.LoadBalancerID = lb.ID
		if i > 0 && !g.hostile() {
			listener.ProtocolPort = 9000 + i
		}
		listener.DefaultPoolID = g.poolFor(lb, listener)
		g.listenerTLS(listener)
		if !readsRequests(listener) && !g.hostile() {
			listener.L7Policies, listener.InsertHeaders = nil, nil
		}
		g.clients(listener)
		if listener.Protocol == model.ProtocolUDP && !g.hostile() {
			listener.ConnectionLimit = model.UnlimitedConnections
		}
		for j := range listener.L7Policies {
			policy := &listener.L7Policies[j]
			id(&policy.ID)
			policy.ListenerID = listener.ID
			policy.RedirectPoolID = g.poolFor(lb, listener)
			if policy.RedirectPoolID == "" && policy.Action == model.L7ActionRedirectToPool && !g.hostile() {
				policy.Action = model.L7ActionReject
			}
			for k := range policy.Rules {
				rule := &policy.Rules[k]
				id(&rule.ID)
				rule.L7PolicyID = policy.ID
				if rule.Type == model.L7TypeFileType && rule.CompareType != model.L7CompareRegex && !g.hostile() {
					rule.CompareType = model.L7CompareEqualTo
				}
			}
		}
	}
}

func readsRequests(listener *model.Listener) bool {
	return listener.Protocol == model.ProtocolHTTP || listener.Protocol == model.ProtocolTerminatedHTTPS
}

func (g *generator) poolFor(lb *model.LoadBalancer, listener *model.Listener) string {
	var fitting []string
	for i := range lb.Pools {
		pool := &lb.Pools[i]
		cookie := pool.SessionPersistence != nil && pool.SessionPersistence.Type != "SOURCE_IP"
		if g.hostile() || capabilities.CanServe(listener.Protocol, pool.Protocol) && (readsRequests(listener) || !cookie) {
			fitting = append(fitting, pool.ID)
		}
	}
	if len(fitting) == 0 || g.rarely(8) {
		return ""
	}
	return pick(g, fitting)
}
