package api

import (
	"fmt"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// tree is a copy of a load balancer that a call may change, to be judged and thrown away.
type tree struct {
	lb *model.LoadBalancer
	// partial is set when the store does not have all that the call is about.
	partial bool
}

// copyTree copies the stored tree. Without one it starts an empty load balancer.
func copyTree(stored *model.LoadBalancer, id string) *tree {
	if stored == nil {
		return &tree{lb: &model.LoadBalancer{ID: id}, partial: true}
	}
	return &tree{lb: stored.Copy()}
}

// put replaces the item that same is true of, or appends one, and returns where it is. Octavia never uses an id twice:
// an object that is there already is that of the same call, repeated.
func put[T any](list *[]T, item T, same func(*T) bool) int {
	if i := indexOf(*list, same); i >= 0 {
		(*list)[i] = item
		return i
	}
	*list = append(*list, item)
	return len(*list) - 1
}

func indexOf[T any](list []T, same func(*T) bool) int {
	for i := range list {
		if same(&list[i]) {
			return i
		}
	}
	return -1
}

// listener returns a listener and its path. One that the tree does not have is made, and the tree is partial then.
func (t *tree) listener(id string) (*model.Listener, string) {
	i := indexOf(t.lb.Listeners, func(l *model.Listener) bool { return l.ID == id })
	if i < 0 {
		t.partial = true
		t.lb.Listeners = append(t.lb.Listeners, model.Listener{ID: id})
		i = len(t.lb.Listeners) - 1
	}
	return &t.lb.Listeners[i], fmt.Sprintf("listeners[%d]", i)
}

// pool is listener for pools.
func (t *tree) pool(id string) (*model.Pool, string) {
	i := indexOf(t.lb.Pools, func(p *model.Pool) bool { return p.ID == id })
	if i < 0 {
		t.partial = true
		t.lb.Pools = append(t.lb.Pools, model.Pool{ID: id})
		i = len(t.lb.Pools) - 1
	}
	return &t.lb.Pools[i], fmt.Sprintf("pools[%d]", i)
}

// l7Policy is listener for L7 policies, wherever they are. One that the tree does not have is put into the listener that
// the call names, or into a stand-in without id when it names none.
func (t *tree) l7Policy(id, listenerID string) (*model.L7Policy, string) {
	for i := range t.lb.Listeners {
		listener := &t.lb.Listeners[i]
		j := indexOf(listener.L7Policies, func(p *model.L7Policy) bool { return p.ID == id })
		if j >= 0 {
			return &listener.L7Policies[j], fmt.Sprintf("listeners[%d].l7policies[%d]", i, j)
		}
	}
	t.partial = true
	listener, path := t.listener(listenerID)
	listener.L7Policies = append(listener.L7Policies, model.L7Policy{ID: id})
	j := len(listener.L7Policies) - 1
	return &listener.L7Policies[j], fmt.Sprintf("%s.l7policies[%d]", path, j)
}

// touched says what a call changed in the tree, and so which problems it has to answer for. What was wrong elsewhere
// before is not its fault.
type touched struct {
	// path is where the object is; "" is the load balancer. With it come its children.
	path string
	// own, if set, limits it to the object itself: a change of a pool does not concern its members.
	own model.Ref
	// keys, if set, are the only fields that count: of the others the tree has just stand-ins.
	keys []string
	// elsewhere are paths outside of the object that the call changes, with the field that says so.
	elsewhere map[string]string
}

// concerns reports whether the call has to answer for a problem, and its path as seen from the object.
func (t touched) concerns(problem capabilities.Problem) (string, bool) {
	if field, ok := t.elsewhere[problem.Path]; ok {
		return field, true
	}
	path, below := relative(problem.Path, t.path)
	if !below || (t.own.Kind != "" && problem.Ref != t.own) {
		return "", false
	}
	if t.keys == nil || path == "" {
		return path, true
	}
	field, _, _ := strings.Cut(path, ".")
	return path, slices.Contains(t.keys, field)
}

// relative returns path as seen from base: weight of pools[0].members[1].weight and pools[0].members[1]. Seen from a
// list, the list's name stays: members[1].weight.
func relative(path, base string) (string, bool) {
	rest, below := strings.CutPrefix(path, base)
	switch {
	case !below:
		return "", false
	case base == "" || rest == "":
		return rest, true
	case rest[0] == '.':
		return rest[1:], true
	case rest[0] == '[' && !strings.HasSuffix(base, "]"):
		return base[strings.LastIndexByte(base, '.')+1:] + rest, true
	}
	return "", false
}
