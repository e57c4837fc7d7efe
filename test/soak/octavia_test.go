package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// octavia is Octavia as the controller and its callers see it: a database with locks, octavia-api's provider calls, the
// driver-agent's sockets and the REST API.
type octavia struct {
	t   *testing.T
	api *http.Client

	mu  sync.Mutex
	lbs map[string]*record
	// failures are statuses ERROR that were reported; nothing that the soak does ends in one.
	failures []string
	statics  int
}

// record is a load balancer in the database.
type record struct {
	// row is held while a provider call is under way: whoever writes a status waits for it.
	row      sync.Mutex
	tree     *model.LoadBalancer
	statuses map[model.Ref]objectStatus
}

type objectStatus struct {
	provisioning model.ProvisioningStatus
	operating    model.OperatingStatus
	changed      time.Time
}

// call is what one call of a user's comes to: what it makes of the database, and what the provider is asked.
type call struct {
	tree *model.LoadBalancer
	// pending are the objects that it locks.
	pending      map[model.Ref]model.ProvisioningStatus
	method, path string
	body         any
}

// errNothing says that there is nothing to change in that way.
var errNothing = errors.New("nothing to change")

// errUnreachable says that the provider did not answer: octavia-api has rolled the call back.
var errUnreachable = errors.New("the provider is unreachable")

// refusedError is an answer other than 202.
type refusedError struct {
	status int
	body   string
}

func (e *refusedError) Error() string { return fmt.Sprintf("refused: %d %s", e.status, e.body) }

func newOctavia(t *testing.T, s settings) *octavia {
	t.Helper()
	socket := s.path(apiSocket)
	return &octavia{t: t, lbs: map[string]*record{}, api: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, // as the shim
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}}
}

// call makes one call on a load balancer in one transaction, as octavia-api does: it is committed when the provider has
// accepted it and rolled back when not. make returns false when there is nothing to do.
func (o *octavia) call(id string, make func(*call) bool) error {
	o.mu.Lock()
	r := o.lbs[id]
	if r == nil {
		r = &record{statuses: map[model.Ref]objectStatus{}}
		o.lbs[id] = r
	}
	o.mu.Unlock()
	r.row.Lock()
	defer r.row.Unlock()
	c := &call{pending: map[model.Ref]model.ProvisioningStatus{}}
	o.mu.Lock()
	if r.tree != nil {
		c.tree = clone(r.tree)
	}
	o.mu.Unlock()
	err := errNothing
	if make(c) {
		err = o.ask(c)
	}
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if r.tree == nil {
			delete(o.lbs, id)
		}
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	r.tree = c.tree
	for ref, status := range c.pending {
		was := r.statuses[ref]
		if was.operating == "" {
			was.operating = model.OperatingOffline
		}
		r.statuses[ref] = objectStatus{status, was.operating, time.Now()}
	}
	return nil
}

// ask asks the provider as the shim does.
func (o *octavia) ask(c *call) error {
	var body io.Reader
	if c.body != nil {
		text, err := json.Marshal(c.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(context.Background(), c.method, "http://octavia"+c.path, body)
	if err != nil {
		return err
	}
	request.Header.Set("X-Openstack-Request-Id", "req-soak")
	request.Header.Set("Content-Type", "application/json")
	response, err := o.api.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreachable, err)
	}
	switch {
	case response.StatusCode == http.StatusAccepted:
		return nil
	case response.StatusCode >= http.StatusInternalServerError && response.StatusCode != http.StatusNotImplemented:
		return fmt.Errorf("%w: %s", errUnreachable, text) // a controller that is about to stop
	}
	return &refusedError{response.StatusCode, string(text)}
}

// settled waits until a load balancer and all below it are unlocked; no call is taken before.
func (o *octavia) settled(id string) {
	o.t.Helper()
	testkit.Eventually(o.t, func() error {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.lbs[id] == nil {
			return nil
		}
		for ref, status := range o.lbs[id].statuses {
			if status.provisioning != model.ProvisioningActive {
				return fmt.Errorf("%s %s is %s since %s", ref.Kind, ref.ID, status.provisioning, time.Since(status.changed))
			}
		}
		return nil
	})
}

// has tells whether the load balancer exists, and whether it is locked.
func (o *octavia) has(id string) (exists, locked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.lbs[id]
	if r == nil {
		return false, false
	}
	status := r.statuses[model.Ref{Kind: model.KindLoadBalancer, ID: id}]
	return true, status.provisioning != model.ProvisioningActive
}

// tree is a copy of what is committed of a load balancer.
func (o *octavia) tree(id string) *model.LoadBalancer {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r := o.lbs[id]; r != nil && r.tree != nil {
		return clone(r.tree)
	}
	return nil
}

// clone copies a tree; certificates are shared, nobody changes them.
func clone(tree *model.LoadBalancer) *model.LoadBalancer {
	tree = new(*tree)
	tree.Listeners, tree.Pools = slices.Clone(tree.Listeners), slices.Clone(tree.Pools)
	for i := range tree.Listeners {
		l := &tree.Listeners[i]
		l.L7Policies = slices.Clone(l.L7Policies)
		for j := range l.L7Policies {
			l.L7Policies[j].Rules = slices.Clone(l.L7Policies[j].Rules)
		}
	}
	for i := range tree.Pools {
		p := &tree.Pools[i]
		p.Members = slices.Clone(p.Members)
		if p.HealthMonitor != nil {
			p.HealthMonitor = new(*p.HealthMonitor)
		}
	}
	return tree
}

// refs are all objects of a tree, parents before children.
func refs(tree *model.LoadBalancer) []model.Ref {
	all := []model.Ref{{Kind: model.KindLoadBalancer, ID: tree.ID}}
	for _, l := range tree.Listeners {
		all = append(all, listenerRefs(l)...)
	}
	for _, p := range tree.Pools {
		all = append(all, poolRefs(p)...)
	}
	return all
}

func listenerRefs(l model.Listener) []model.Ref {
	all := []model.Ref{{Kind: model.KindListener, ID: l.ID}}
	for _, p := range l.L7Policies {
		all = append(all, policyRefs(p)...)
	}
	return all
}

func policyRefs(p model.L7Policy) []model.Ref {
	all := []model.Ref{{Kind: model.KindL7Policy, ID: p.ID}}
	for _, r := range p.Rules {
		all = append(all, model.Ref{Kind: model.KindL7Rule, ID: r.ID})
	}
	return all
}

func poolRefs(p model.Pool) []model.Ref {
	all := []model.Ref{{Kind: model.KindPool, ID: p.ID}}
	for _, m := range p.Members {
		all = append(all, model.Ref{Kind: model.KindMember, ID: m.ID})
	}
	if p.HealthMonitor != nil {
		all = append(all, model.Ref{Kind: model.KindHealthMonitor, ID: p.HealthMonitor.ID})
	}
	return all
}
