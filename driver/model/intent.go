package model

import "time"

// Op is what a provider call asks for.
type Op string

// The operations of the provider contract.
const (
	OpCreate      Op = "create"
	OpUpdate      Op = "update"
	OpDelete      Op = "delete"
	OpBatchUpdate Op = "batch_update"
	OpFailover    Op = "failover"
	// OpRefresh is the controller's own: Octavia waits for nothing, but what is published may be out of date.
	OpRefresh Op = "refresh"
)

// Ref points at one object.
type Ref struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

// Intent is a provider call that was accepted, and so committed, and is not finished. It says which objects the call set
// to PENDING, not what they should become: Octavia's database says that, see OCTAVIA's get.sock.
type Intent struct {
	// ID orders the intents of a load balancer; the store assigns it.
	ID             int64  `json:"id"`
	LoadBalancerID string `json:"loadbalancer_id"`
	Op             Op     `json:"op"`
	Object         Ref    `json:"object"`
	// ParentID is the pool of a member or health monitor, the listener of a policy, the policy of a rule.
	ParentID string `json:"parent_id,omitempty"`
	// Cascade is set on a load balancer's delete that takes its children along.
	Cascade bool `json:"cascade,omitempty"`
	// MemberIDs are the members that stay in or come to the pool on a batch update; all others are to be deleted.
	MemberIDs []string `json:"member_ids,omitempty"`
	// RequestID is Octavia's, for the log: req-….
	RequestID string    `json:"request_id,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}
