package model

// Kind names a kind of Octavia object, in the singular.
type Kind string

// The kinds of objects, from the root of the tree down.
const (
	KindLoadBalancer  Kind = "loadbalancer"
	KindListener      Kind = "listener"
	KindPool          Kind = "pool"
	KindMember        Kind = "member"
	KindHealthMonitor Kind = "healthmonitor"
	KindL7Policy      Kind = "l7policy"
	KindL7Rule        Kind = "l7rule"
)

// Protocols of listeners and pools (octavia_lib/common/constants.py).
const (
	ProtocolTCP             = "TCP"
	ProtocolUDP             = "UDP"
	ProtocolSCTP            = "SCTP"
	ProtocolHTTP            = "HTTP"
	ProtocolHTTPS           = "HTTPS"
	ProtocolTerminatedHTTPS = "TERMINATED_HTTPS"
	ProtocolPrometheus      = "PROMETHEUS"
	ProtocolProxy           = "PROXY"
	ProtocolProxyV2         = "PROXYV2"
)

// Balancing algorithms of a pool.
const (
	AlgorithmRoundRobin       = "ROUND_ROBIN"
	AlgorithmLeastConnections = "LEAST_CONNECTIONS"
	AlgorithmSourceIP         = "SOURCE_IP"
	AlgorithmSourceIPPort     = "SOURCE_IP_PORT"
)

// ProvisioningStatus says whether an object is as its user asked. A driver may only report ACTIVE, ERROR and DELETED;
// the PENDING states are Octavia's own.
type ProvisioningStatus string

// Provisioning states.
const (
	ProvisioningActive        ProvisioningStatus = "ACTIVE"
	ProvisioningError         ProvisioningStatus = "ERROR"
	ProvisioningDeleted       ProvisioningStatus = "DELETED"
	ProvisioningPendingCreate ProvisioningStatus = "PENDING_CREATE"
	ProvisioningPendingUpdate ProvisioningStatus = "PENDING_UPDATE"
	ProvisioningPendingDelete ProvisioningStatus = "PENDING_DELETE"
)

// OperatingStatus says whether an object serves.
type OperatingStatus string

// Operating states.
const (
	OperatingOnline    OperatingStatus = "ONLINE"
	OperatingOffline   OperatingStatus = "OFFLINE"
	OperatingDegraded  OperatingStatus = "DEGRADED"
	OperatingError     OperatingStatus = "ERROR"
	OperatingDraining  OperatingStatus = "DRAINING"
	OperatingNoMonitor OperatingStatus = "NO_MONITOR"
)
