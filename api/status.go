package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// StatusReport is the answer of /v1/status.
type StatusReport struct {
	LoadBalancers []LoadBalancerStatus `json:"loadbalancers"`
}

// LoadBalancerStatus is how a load balancer is doing.
type LoadBalancerStatus struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	ProjectID string `json:"project_id"`
	// ProvisioningStatus and OperatingStatus are what was last reported to Octavia.
	ProvisioningStatus model.ProvisioningStatus `json:"provisioning_status"`
	OperatingStatus    model.OperatingStatus    `json:"operating_status"`
	// Revision counts the trees that the store has had.
	Revision int64 `json:"revision"`
	// LastError is why the last attempt failed, in Envoy's words if it was Envoy; "" when it did not.
	LastError string `json:"last_error"`
	// PendingIntents are calls that were accepted and are not done.
	PendingIntents int `json:"pending_intents"`
	// PendingStatuses are messages that Octavia has not taken yet.
	PendingStatuses int             `json:"pending_statuses"`
	Amphorae        []AmphoraStatus `json:"amphorae"`
	// Certificates are those that it has been given, with their keys; the keys are not shown.
	Certificates []CertificateStatus `json:"certificates,omitempty"`
}

// CertificateStatus is how long a certificate is still good.
type CertificateStatus struct {
	// Name is where it is used: the id of its listener or pool and its role there.
	Name string `json:"name"`
	// Ref is where Octavia's certificate manager has it.
	Ref      string    `json:"ref"`
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"not_after"`
	// Validity is valid, expiring or expired.
	Validity string `json:"validity"`
	// Staple is stapled, missing, late or revoked; "" for a certificate without an OCSP responder.
	Staple string `json:"staple,omitempty"`
	// StapledUntil is the end of the response that is stapled.
	StapledUntil *time.Time `json:"stapled_until,omitempty"`
}

// AmphoraStatus is how an amphora is doing.
type AmphoraStatus struct {
	ID     string              `json:"id"`
	Role   string              `json:"role"`
	Status model.AmphoraStatus `json:"status"`
	// Connected is whether its Envoy has an xDS stream to this controller.
	Connected bool `json:"connected"`
	// LastHeartbeat is when its agent was last heard; left out if never.
	LastHeartbeat time.Time        `json:"last_heartbeat,omitzero"`
	Resources     []ResourceStatus `json:"resources"`
	// Members are those that its Envoy checks, as it was last heard to see them. They are left out when all load balancers
	// are asked for, but for those that are down.
	Members []MemberStatus `json:"members,omitempty"`
	// FullListeners are at their connection limit.
	FullListeners []string `json:"full_listeners,omitempty"`
}

// MemberStatus is a member as one amphora sees it.
type MemberStatus struct {
	ID     string `json:"id"`
	PoolID string `json:"pool_id"`
	Name   string `json:"name"`
	// Address is where it serves: address:port.
	Address string `json:"address"`
	// State is UP, DOWN or UNCHECKED.
	State string `json:"state"`
	// Failure is what the last failed check failed by, in Envoy's words.
	Failure string `json:"failure,omitempty"`
	// Since is when it was first heard to be in that state.
	Since time.Time `json:"since"`
}

// ResourceStatus is one xDS resource of an amphora.
type ResourceStatus struct {
	// Type is the last part of the resource's type: Listener, Cluster.
	Type string `json:"type"`
	Name string `json:"name"`
	// Sent and Acknowledged are versions; they are equal when Envoy has what it should have.
	Sent         string `json:"sent"`
	Acknowledged string `json:"acknowledged"`
	// Error is Envoy's reason to refuse Sent; "" when it did not.
	Error string `json:"error"`
}

func (s *server) statusRoutes(v1 *gin.RouterGroup) {
	v1.GET("/status", func(c *gin.Context) { s.status(c, "") })
	v1.GET("/status/:loadbalancer_id", func(c *gin.Context) {
		id, err := pathID(c, "loadbalancer_id")
		if err != nil {
			s.refuse(c, err)
			return
		}
		s.status(c, id)
	})
}

func (s *server) status(c *gin.Context, id string) {
	if s.Operator == nil {
		s.refuse(c, &Error{Code: CodeNotImplemented, Message: "This controller does not report its status."})
		return
	}
	report, err := s.Operator.Status(c.Request.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && id != "" && len(report.LoadBalancers) == 0:
		s.refuse(c, notFound(model.Ref{Kind: model.KindLoadBalancer, ID: id}))
	case err != nil:
		s.refuse(c, unavailable("The status cannot be read", err))
	default:
		if report.LoadBalancers == nil {
			report.LoadBalancers = []LoadBalancerStatus{}
		}
		c.JSON(http.StatusOK, report)
	}
}
