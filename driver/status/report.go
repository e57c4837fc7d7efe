package status

import "github.com/octavia-envoy/octavia-envoy/driver/model"

// Report is what Octavia is told when the plan is carried out. rejected are the objects that could not be served, each
// with the reason; the reason itself has no place in Octavia.
//
// A rejected object is in ERROR and its load balancer ACTIVE, so that its user can correct it: that is what Octavia's own
// driver does (octavia/controller/worker/v2/tasks/lifecycle_tasks.py). Its operating status stays as it was: what a
// refused change does not bring in, it does not take down either. A listener is different that is left out as a whole because
// one of its policies or rules cannot be served: it operates in ERROR, and stays ACTIVE so that Octavia lets them be deleted.
//
// Of what was not asked for, only what operates differently from what was reported is named, without a provisioning status:
// that must not end a lock that it does not know of.
func Report(plan Plan, rejected map[model.Ref]string, health Health) model.StatusUpdate {
	var update model.StatusUpdate
	for _, ref := range plan.Deleted {
		record(&update, ref, model.ProvisioningDeleted, "")
	}
	if plan.Desired == nil {
		return update
	}
	health.Published, health.Refused = true, map[model.Ref]bool{}
	for ref := range rejected {
		health.Refused[ref] = true
	}
	now := Operating(plan.Desired, health)
	touched := refSet{}
	touched.add(plan.Touched...)
	for _, ref := range refs(plan.Desired) {
		switch {
		case health.Refused[ref]:
			record(&update, ref, model.ProvisioningError, "")
		case touched[ref]:
			record(&update, ref, model.ProvisioningActive, now[ref])
		case now[ref] != "" && now[ref] != health.Before[ref]:
			record(&update, ref, "", now[ref])
		}
	}
	return update
}

// Failed is what Octavia is told when nothing could be brought about: no amphora, or no end within the deadline.
//
// The load balancer is in ERROR, where Octavia allows deletion and failover. So is what the calls were about, their
// failed deletions included; what was only locked along with it is ACTIVE. Operating statuses stay: what was served
// before may still be.
func Failed(plan Plan) model.StatusUpdate {
	var update model.StatusUpdate
	if plan.tree == nil {
		return update
	}
	root := model.Ref{Kind: model.KindLoadBalancer, ID: plan.LoadBalancerID}
	for _, ref := range refs(plan.tree) {
		switch {
		case ref == root || plan.failing[ref]:
			record(&update, ref, model.ProvisioningError, "")
		case plan.locked[ref]:
			record(&update, ref, model.ProvisioningActive, "")
		}
		// What is neither was not PENDING, for instance what would have been deleted along with its parent.
	}
	return update
}

func record(
	update *model.StatusUpdate, ref model.Ref, provisioning model.ProvisioningStatus, operating model.OperatingStatus,
) {
	records := update.Records(ref.Kind)
	*records = append(*records, model.ObjectStatus{
		ID: ref.ID, ProvisioningStatus: provisioning, OperatingStatus: operating,
	})
}
