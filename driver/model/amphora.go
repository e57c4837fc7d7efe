package model

import "time"

// AmphoraStatus is where an amphora is in its life, in Octavia's words.
type AmphoraStatus string

// States of an amphora.
const (
	AmphoraBooting       AmphoraStatus = "BOOTING"
	AmphoraAllocated     AmphoraStatus = "ALLOCATED"
	AmphoraError         AmphoraStatus = "ERROR"
	AmphoraPendingDelete AmphoraStatus = "PENDING_DELETE"
)

// Amphora is one Envoy with its agent, serving one load balancer.
type Amphora struct {
	// ID is the xDS node id and the name in the amphora's certificate.
	ID             string        `json:"id"`
	LoadBalancerID string        `json:"loadbalancer_id"`
	Status         AmphoraStatus `json:"status"`
	// Role is STANDALONE, MASTER or BACKUP.
	Role string `json:"role"`
	// Compute names the compute driver that built it: local, nova.
	Compute string `json:"compute"`
	// ComputeID is what the compute driver knows it by.
	ComputeID string    `json:"compute_id"`
	CreatedAt time.Time `json:"created_at"`
	// LastHeartbeat is when its agent was last heard; zero if never.
	LastHeartbeat time.Time `json:"last_heartbeat"`
}
