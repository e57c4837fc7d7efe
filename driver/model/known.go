package model

import (
	"encoding/json"
	"reflect"
)

// Known are the objects of a text that was decoded, each with the part of the text that says how it is: what says the same in
// the next text need not be decoded again. Objects with certificates are not among them. It does not change, and shares nothing
// with the trees that may be changed.
type Known struct {
	listeners map[string]*decoded[Listener]
	policies  map[string]*decoded[L7Policy]
	rules     map[string]*decoded[L7Rule]
	pools     map[string]*decoded[Pool]
	members   map[string]*decoded[Member]
	size      int
}

type decoded[Model any] struct {
	text  string
	model Model
}

// Size is about how many bytes it takes.
func (k *Known) Size() int { return k.size }

// DecodeKnowing is Decode for one text after another of the same load balancer: known is what it returned last, or nil. The text
// must come from whom it came from before and is trusted so far: what is in default_pool and redirect_pool, which no decoder
// reads, may be anything that has its brackets in pairs.
func DecodeKnowing(data []byte, known *Known) (*LoadBalancer, *Known, error) {
	if known == nil {
		known = &Known{}
	}
	if root, ok := scan(data); ok {
		next := &Known{
			listeners: map[string]*decoded[Listener]{}, policies: map[string]*decoded[L7Policy]{}, rules: map[string]*decoded[L7Rule]{},
			pools: map[string]*decoded[Pool]{}, members: make(map[string]*decoded[Member], len(known.members)),
		}
		if lb, err := next.decode(&root, known); err == nil {
			return lb, next, nil
		}
	}
	// Whatever is wrong or unusual is the plain decoder's to say.
	lb, err := Decode(data)
	return lb, nil, err
}

func (k *Known) decode(root *part, before *Known) (*LoadBalancer, error) {
	var text loadBalancerText
	if err := json.Unmarshal(root.shell, &text); err != nil {
		return nil, err
	}
	lb := text.model()
	var err error
	if listeners := root.in("listeners"); listeners != nil {
		lb.Listeners, err = decodeAll(k, listeners, before.listeners, k.listeners, (*listenerText).model, func(l *Listener, o *part) (err error) {
			if policies := o.in("l7policies"); policies != nil {
				l.L7Policies, err = k.decodePolicies(policies, before)
			}
			return err
		})
	}
	if pools := root.in("pools"); pools != nil && err == nil {
		lb.Pools, err = decodeAll(k, pools, before.pools, k.pools, (*poolText).model, func(p *Pool, o *part) (err error) {
			if p.HealthMonitor != nil {
				p.HealthMonitor = new(*p.HealthMonitor)
			}
			if members := o.in("members"); members != nil {
				p.Members, err = decodeAll(k, members, before.members, k.members, (*memberText).model, nil)
			}
			return err
		})
	}
	return &lb, err
}

func (k *Known) decodePolicies(policies []part, before *Known) ([]L7Policy, error) {
	return decodeAll(k, policies, before.policies, k.policies, (*l7PolicyText).model, func(p *L7Policy, o *part) (err error) {
		if rules := o.in("rules"); rules != nil {
			p.Rules, err = decodeAll(k, rules, before.rules, k.rules, (*l7RuleText).model, nil)
		}
		return err
	})
}

// decodeAll decodes a list of objects of a kind and, with fill, what is in each.
func decodeAll[Text, Model any](
	k *Known, objects []part, before, now map[string]*decoded[Model], model func(*Text) Model, fill func(*Model, *part) error,
) ([]Model, error) {
	all := make([]Model, len(objects))
	for i := range objects {
		o := &objects[i]
		known := before[string(o.shell)]
		if known == nil {
			var text Text
			if err := json.Unmarshal(o.shell, &text); err != nil {
				return nil, err
			}
			known = &decoded[Model]{text: string(o.shell), model: model(&text)}
		}
		all[i] = known.model
		if !private(&all[i]) {
			now[known.text] = known
			k.size += len(known.text) + int(reflect.TypeFor[decoded[Model]]().Size())
		}
		if fill != nil {
			if err := fill(&all[i], o); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// private says that an object has, or will have, certificates: they are not to be in memory for longer than they are needed, and
// have places in the tree that are set later.
func private(object any) bool {
	switch object := object.(type) {
	case *Listener:
		listener := *object // Secrets makes places
		return len(listener.Secrets()) > 0 || object.DefaultTLSContainer != nil || len(object.SNIContainers) > 0
	case *Pool:
		return len(object.Secrets()) > 0 || object.TLSContainer != nil
	}
	return false
}
