package status

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/lru"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// statusOK is what the driver-agent answers to an update that it applied (octavia_lib DRVR_STATUS_CODE_OK).
const statusOK = 200

// kinds returns the kinds of objects, from the root of the tree down.
func kinds() []model.Kind {
	return []model.Kind{
		model.KindLoadBalancer, model.KindListener, model.KindPool, model.KindMember, model.KindHealthMonitor,
		model.KindL7Policy, model.KindL7Rule,
	}
}

// plural is the name of a kind in messages.
func plural(kind model.Kind) string {
	if kind == model.KindL7Policy {
		return "l7policies"
	}
	return string(kind) + "s"
}

// Agent is a client of the driver-agent beside this controller. It keeps no connection and may be used concurrently; the
// agent itself serves 50 requests a socket at once (octavia.conf [driver_agent] *_max_processes).
type Agent struct {
	// StatusSocket, StatsSocket and GetSocket are the paths that octavia.conf sets in [driver_agent].
	StatusSocket string
	StatsSocket  string
	GetSocket    string
	// Timeout bounds the wait for an answer; 0 is 30 s, as in octavia-lib.
	Timeout time.Duration
	// Metrics records how long the agent takes; nil records nothing.
	Metrics *AgentMetrics

	once sync.Once
	// known is what the last answers said of large load balancers.
	known *lru.Cache[*model.Known]
}

const (
	// maxKnown is how many bytes that takes of memory.
	maxKnown = 64 << 20
	// minKnown is the size of an answer, in bytes, that is decoded so fast that nothing of it is kept: the load balancers of a
	// fleet are many, and small.
	minKnown = 32 << 10
)

// ListenerStatistics are the counters of one listener. Octavia replaces what it has: all are totals since the listener
// came to be, across restarts of its Envoy.
type ListenerStatistics struct {
	ID string `json:"id"`
	// ActiveConnections is the number of connections now.
	ActiveConnections int64 `json:"active_connections"`
	// BytesIn is what clients sent.
	BytesIn int64 `json:"bytes_in"`
	// BytesOut is what clients received.
	BytesOut         int64 `json:"bytes_out"`
	RequestErrors    int64 `json:"request_errors"`
	TotalConnections int64 `json:"total_connections"`
}

// reply is what status.sock and stats.sock answer.
type reply struct {
	StatusCode     int    `json:"status_code"`
	FaultString    string `json:"fault_string"`
	StatusObject   string `json:"status_object"`
	StatusObjectID string `json:"status_object_id"`
}

// Update reports statuses. An empty update sends nothing. Errors: *RecordError, ErrUnreachable, ErrNoAnswer, and those of
// the connection; after any of them a part of the update may be applied, and it may be sent again.
func (a *Agent) Update(ctx context.Context, update model.StatusUpdate) error {
	return a.update(ctx, requestUpdate, update)
}

func (a *Agent) update(ctx context.Context, request string, update model.StatusUpdate) error {
	if update.Empty() {
		return nil
	}
	defer a.Metrics.timed(request)()
	answer, err := a.tell(ctx, a.StatusSocket, update)
	if err != nil || answer.StatusCode == statusOK {
		return err
	}
	for _, kind := range kinds() {
		if plural(kind) == answer.StatusObject {
			return &RecordError{Kind: kind, ID: answer.StatusObjectID, Fault: answer.FaultString}
		}
	}
	return fmt.Errorf("the driver-agent refused a status update: %s", answer.FaultString)
}

// Barrier returns when the provider call that is under way for a load balancer has committed or rolled back.
//
// The API holds the load balancer's row locked during a provider call. Writing to that row waits for the lock; writing
// the operating status that it has anyway changes nothing else. An unknown current status counts as OFFLINE, which is
// what Octavia gives a new load balancer. On PostgreSQL a row that is being created is not waited for, because it is not
// visible: poll LoadBalancer.
func (a *Agent) Barrier(ctx context.Context, loadBalancerID string, current model.OperatingStatus) error {
	if current == "" {
		current = model.OperatingOffline
	}
	return a.update(ctx, requestBarrier, model.StatusUpdate{
		LoadBalancers: []model.ObjectStatus{{ID: loadBalancerID, OperatingStatus: current}},
	})
}

// Statistics reports the counters of listeners. The agent takes unknown listeners without a word.
func (a *Agent) Statistics(ctx context.Context, listeners []ListenerStatistics) error {
	if len(listeners) == 0 {
		return nil
	}
	answer, err := a.tell(ctx, a.StatsSocket, map[string]any{"listeners": listeners})
	if err != nil || answer.StatusCode == statusOK {
		return err
	}
	return fmt.Errorf("the driver-agent refused statistics: %s", answer.FaultString)
}

func (a *Agent) tell(ctx context.Context, socket string, message any) (reply, error) {
	raw, err := a.exchange(ctx, socket, message)
	if err != nil {
		return reply{}, err
	}
	var answer reply
	if err := json.Unmarshal(raw, &answer); err != nil {
		return reply{}, fmt.Errorf("decode the driver-agent's answer on %s: %w", socket, err)
	}
	return answer, nil
}

// LoadBalancer reads the whole tree of a load balancer, objects that are to be deleted included, with its private keys:
// the result must not be logged. ErrGone when Octavia does not have it or has it as DELETED.
//
// ErrNoAnswer most likely means that one certificate of the tree cannot be read: the agent then answers nothing at all.
func (a *Agent) LoadBalancer(ctx context.Context, id string) (*model.LoadBalancer, error) {
	ref := model.Ref{Kind: model.KindLoadBalancer, ID: id}
	text, err := a.get(ctx, ref)
	if err != nil {
		return nil, err
	}
	lb, err := a.decode(id, text)
	if err != nil {
		return nil, fmt.Errorf("decode %s %s: %w", ref.Kind, ref.ID, err)
	}
	lb.Sort()
	return lb, nil
}

// decode decodes of a large load balancer only what the answer before did not say.
func (a *Agent) decode(id string, text []byte) (*model.LoadBalancer, error) {
	a.once.Do(func() { a.known = lru.New[*model.Known](maxKnown) })
	if len(text) < minKnown {
		a.known.Drop(id)
		return model.Decode(text)
	}
	lb, known, err := model.DecodeKnowing(text, a.known.Get(id))
	if known == nil {
		a.known.Drop(id)
		return lb, err
	}
	a.known.Put(id, known, known.Size())
	return lb, err
}

// Listener reads one listener with its policies, as LoadBalancer does.
func (a *Agent) Listener(ctx context.Context, id string) (*model.Listener, error) {
	listener := new(model.Listener)
	if err := a.getInto(ctx, model.Ref{Kind: model.KindListener, ID: id}, listener); err != nil {
		return nil, err
	}
	return listener, nil
}

// Pool reads one pool with its members and health monitor, as LoadBalancer does.
func (a *Agent) Pool(ctx context.Context, id string) (*model.Pool, error) {
	pool := new(model.Pool)
	if err := a.getInto(ctx, model.Ref{Kind: model.KindPool, ID: id}, pool); err != nil {
		return nil, err
	}
	return pool, nil
}

// get reads the text of an object.
func (a *Agent) get(ctx context.Context, ref model.Ref) ([]byte, error) {
	defer a.Metrics.timed(requestGet)()
	request := map[string]string{"object": plural(ref.Kind), "id": ref.ID}
	raw, err := a.exchange(ctx, a.GetSocket, request)
	if errors.Is(err, ErrNoAnswer) {
		return nil, fmt.Errorf("read %s %s: %w: most likely a certificate, CA or revocation list of it was deleted, or Octavia's "+
			"service user may not read it; the driver-agent's log names it", ref.Kind, ref.ID, err)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", ref.Kind, ref.ID, err)
	}
	if bytes.Equal(bytes.TrimSpace(raw), []byte("{}")) {
		return nil, fmt.Errorf("read %s %s: %w", ref.Kind, ref.ID, ErrGone)
	}
	return raw, nil
}

// getInto reads an object. It decodes into what is known of it and drops the answer.
func (a *Agent) getInto(ctx context.Context, ref model.Ref, into any) error {
	raw, err := a.get(ctx, ref)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("decode %s %s: %w", ref.Kind, ref.ID, err)
	}
	return nil
}

// parents are the attributes that point up the tree.
type parents struct {
	LoadBalancerID string `json:"loadbalancer_id"`
	ListenerID     string `json:"listener_id"`
	PoolID         string `json:"pool_id"`
	L7PolicyID     string `json:"l7policy_id"`
}

// LoadBalancerOf finds the load balancer that an object belongs to. parentID is the object's parent, if it is known (the
// load balancer of a listener or pool, the pool of a member or monitor, the listener of a policy, the policy of a rule):
// an object that a provider call is just creating is not visible yet, its parent is. ErrGone as in LoadBalancer.
func (a *Agent) LoadBalancerOf(ctx context.Context, ref model.Ref, parentID string) (string, error) {
	for {
		if ref.Kind == model.KindLoadBalancer {
			return ref.ID, nil
		}
		parent := model.Ref{Kind: parentKind(ref.Kind), ID: parentID}
		if parent.Kind == "" {
			return "", fmt.Errorf("%q is no kind of object", ref.Kind)
		}
		if parent.ID == "" {
			var up parents
			if err := a.getInto(ctx, ref, &up); err != nil {
				return "", err
			}
			parent.ID = map[model.Kind]string{
				model.KindLoadBalancer: up.LoadBalancerID, model.KindListener: up.ListenerID,
				model.KindPool: up.PoolID, model.KindL7Policy: up.L7PolicyID,
			}[parent.Kind]
		}
		if parent.ID == "" {
			return "", fmt.Errorf("%s %s has no %s", ref.Kind, ref.ID, parent.Kind)
		}
		ref, parentID = parent, ""
	}
}

func parentKind(kind model.Kind) model.Kind {
	switch kind {
	case model.KindListener, model.KindPool:
		return model.KindLoadBalancer
	case model.KindMember, model.KindHealthMonitor:
		return model.KindPool
	case model.KindL7Policy:
		return model.KindListener
	case model.KindL7Rule:
		return model.KindL7Policy
	}
	return ""
}
