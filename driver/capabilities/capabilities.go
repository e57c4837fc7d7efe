package capabilities

import (
	"fmt"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Kind says whose fault a problem is.
type Kind string

const (
	// Unsupported is right in Octavia's API and not built here: UnsupportedOptionError, HTTP 501.
	Unsupported Kind = "unsupported"
	// Invalid is wrong anywhere: HTTP 400 of the provider API.
	Invalid Kind = "invalid"
)

// Problem is one reason not to serve an object as asked.
type Problem struct {
	Ref model.Ref
	// Field is the attribute in Octavia's words, protocol; "" when the object as such is the problem.
	Field string
	// Path leads from the load balancer to the field: pools[0].members[2].weight.
	Path string
	// Message is the sentence that the user reads.
	Message string
	Kind    Kind
}

// String returns the problem as one line for logs and the command line.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Check returns what is wrong with a whole load balancer, in the order of the tree; nothing when it can be served.
// What concerns two objects, as a port that is taken, is reported of the later one.
func Check(lb *model.LoadBalancer) []Problem { return check(lb, false) }

// CheckPartial is Check for a tree of which only a part is known: references to what it lacks are no problem.
func CheckPartial(lb *model.LoadBalancer) []Problem { return check(lb, true) }

func check(lb *model.LoadBalancer, partial bool) []Problem {
	c := &checker{
		lb: lb, partial: partial, ids: make(map[model.Ref]bool), ports: make(map[port]*model.Listener), pools: make(map[string]*model.Pool),
	}
	for i := range lb.Pools {
		if pool := &lb.Pools[i]; c.pools[pool.ID] == nil {
			c.pools[pool.ID] = pool
		}
	}
	c.loadBalancer()
	for i := range lb.Listeners {
		c.listener(i, &lb.Listeners[i])
	}
	for i := range lb.Pools {
		c.pool(i, &lb.Pools[i])
	}
	return c.problems
}

// checker walks one tree.
type checker struct {
	lb      *model.LoadBalancer
	partial bool
	ids     map[model.Ref]bool
	// ports are the listeners so far, by their ports: the first of each.
	ports map[port]*model.Listener
	// pools are those of the load balancer by their ids.
	pools    map[string]*model.Pool
	problems []Problem
}

// port is a port of one of the transports.
type port struct {
	transport string
	number    int
}

// object is where the walk stands.
type object struct {
	ref model.Ref
	// path leads there; "" is the load balancer.
	path string
}

func (o object) field(name string) string {
	switch {
	case o.path == "":
		return name
	case name == "":
		return o.path
	}
	return o.path + "." + name
}

// child returns the object at path below o: members[2].
func (o object) child(kind model.Kind, id, path string) object {
	return object{ref: model.Ref{Kind: kind, ID: id}, path: o.field(path)}
}

func (c *checker) add(o object, kind Kind, field, message string) {
	c.problems = append(c.problems, Problem{
		Ref: o.ref, Field: field, Path: o.field(field), Message: message, Kind: kind,
	})
}

func (c *checker) invalid(o object, field, format string, args ...any) {
	c.add(o, Invalid, field, fmt.Sprintf(format, args...))
}

func (c *checker) unsupported(o object, field, message string) { c.add(o, Unsupported, field, message) }
