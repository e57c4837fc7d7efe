package main

import (
	"context"
	"fmt"
	"time"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/ocsp"
	"github.com/octavia-envoy/octavia-envoy/driver/secrets"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
)

// operator answers the operator's questions from what is stored and what the xDS server knows.
type operator struct {
	store *store.Store
	xds   *server.Server
	watch *secrets.Watch
	// stapler may be nil.
	stapler *ocsp.Stapler
}

// Status implements api.Operator.
func (o operator) Status(ctx context.Context, loadBalancerID string) (api.StatusReport, error) {
	var known []store.LoadBalancer
	if loadBalancerID == "" {
		all, err := o.store.LoadBalancers(ctx)
		if err != nil {
			return api.StatusReport{}, err
		}
		known = all
	} else {
		one, err := o.store.LoadBalancer(ctx, loadBalancerID)
		if err != nil {
			return api.StatusReport{}, err
		}
		known = []store.LoadBalancer{*one}
	}
	waiting, err := o.waiting(ctx)
	if err != nil {
		return api.StatusReport{}, err
	}
	var report api.StatusReport
	for _, lb := range known {
		status, err := o.loadBalancer(ctx, lb, loadBalancerID != "")
		if err != nil {
			return api.StatusReport{}, fmt.Errorf("load balancer %s: %w", lb.ID, err)
		}
		status.PendingStatuses = waiting[lb.ID]
		report.LoadBalancers = append(report.LoadBalancers, status)
	}
	return report, nil
}

// waiting counts, for each load balancer, the message that is next to be sent: 1, or 0 when Octavia has all.
func (o operator) waiting(ctx context.Context) (map[string]int, error) {
	// Those that wait for their next attempt are not due yet, and count too.
	messages, err := o.store.Outbox(ctx, time.Now().Add(24*time.Hour))
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, message := range messages {
		counts[message.LoadBalancerID]++
	}
	return counts, nil
}

func (o operator) loadBalancer(ctx context.Context, lb store.LoadBalancer, detail bool) (api.LoadBalancerStatus, error) {
	status := api.LoadBalancerStatus{
		ID: lb.ID, Name: lb.Name, ProjectID: lb.ProjectID, Revision: lb.Revision, LastError: lb.LastError,
		ProvisioningStatus: lb.ProvisioningStatus, OperatingStatus: lb.OperatingStatus,
	}
	intents, err := o.store.Intents(ctx, lb.ID)
	if err != nil {
		return status, err
	}
	status.PendingIntents = len(intents)
	if lb.Tree != nil {
		status.Certificates = o.certificates(lb.Tree)
	}
	amphorae, err := o.store.Amphorae(ctx, lb.ID)
	if err != nil {
		return status, err
	}
	views, err := o.store.AmphoraHealth(ctx, lb.ID)
	if err != nil {
		return status, err
	}
	for _, amphora := range amphorae {
		shown := o.amphora(amphora)
		for _, view := range views {
			if view.AmphoraID == amphora.ID && lb.Tree != nil {
				showHealth(&shown, view, lb.Tree, detail)
			}
		}
		status.Amphorae = append(status.Amphorae, shown)
	}
	return status, nil
}

func (o operator) certificates(tree *model.LoadBalancer) []api.CertificateStatus {
	var all []api.CertificateStatus
	for _, place := range tree.Secrets() {
		container := place.Certificate()
		if container == nil {
			continue
		}
		validity, end := o.watch.Of(container)
		status := api.CertificateStatus{
			Name: place.Name(), Ref: place.URL, Subject: container.PrimaryCN, NotAfter: end, Validity: string(validity),
		}
		if o.stapler != nil && place.Role != model.RoleClient {
			state, until := o.stapler.State(container)
			if status.Staple = state; !until.IsZero() {
				status.StapledUntil = &until
			}
		}
		all = append(all, status)
	}
	return all
}

func (o operator) amphora(amphora model.Amphora) api.AmphoraStatus {
	status := api.AmphoraStatus{
		ID: amphora.ID, Role: amphora.Role, Status: amphora.Status, LastHeartbeat: amphora.LastHeartbeat,
		Resources: []api.ResourceStatus{},
	}
	state, known := o.xds.NodeState(amphora.ID)
	if !known {
		return status
	}
	status.Connected = state.Connected
	for _, resource := range state.Resources {
		shown := api.ResourceStatus{
			Type: server.Kind(resource.Key.TypeURL), Name: resource.Key.Name, Sent: resource.Version, Acknowledged: resource.Acked,
		}
		if resource.Rejected != nil {
			shown.Error = resource.Rejected.Text
		}
		status.Resources = append(status.Resources, shown)
	}
	return status
}
