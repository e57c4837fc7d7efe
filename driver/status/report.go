package status

import (
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Report is what Octavia is told when the plan is carried out. rejected are the objects that could not be served, each
// with the reason; the reason itself has no place in Octavia.
//
// A rejected object is in ERROR and its load balancer ACTIVE, so that its user can correct it: that is what Octavia's own
// driver does (octavia/controller/worker/v2/tasks/lifecycle_tasks.py). Its operating status stays as it was: what a
// refused change does not bring in, it does not take down either. A listener is different that is left out as a whole because
// one of its policies or rules cannot be served: it operates in ERROR, and stays ACTIVE so that Octavia lets them be deleted.
func Report(plan Plan, rejected map[model.Ref]string) model.StatusUpdate {
	var update model.StatusUpdate
	for _, ref := range plan.Deleted {
		record(&update, ref, model.ProvisioningDeleted, "")
	}
	if plan.Desired == nil {
		return update
	}
	now := operating(plan.Desired)
	silence(plan.Desired, rejected, now)
	before := map[model.Ref]model.OperatingStatus{}
	if plan.known != nil {
		before = operating(plan.known)
	}
	touched := refSet{}
	touched.add(plan.Touched...)
	for _, ref := range refs(plan.Desired) {
		_, refused := rejected[ref]
		switch {
		case refused:
			record(&update, ref, model.ProvisioningError, "")
		case touched[ref]:
			record(&update, ref, model.ProvisioningActive, now[ref])
		case now[ref] != "" && (plan.swayed[ref] || now[ref] != before[ref]):
			// Not PENDING, so without a provisioning status: this must not end a lock that it does not know of.
			record(&update, ref, "", now[ref])
		}
	}
	return update
}

// silence notes of the listeners that are up and have a rejected policy or rule that they operate in ERROR: nobody listens
// there. Octavia sends the policies of a fully-populated create to no provider, so that none of them can be refused at once.
func silence(tree *model.LoadBalancer, rejected map[model.Ref]string, now map[model.Ref]model.OperatingStatus) {
	for i := range tree.Listeners {
		all := listenerRefs(&tree.Listeners[i])
		listener, below := all[0], all[1:]
		isRejected := func(ref model.Ref) bool { _, refused := rejected[ref]; return refused }
		if now[listener] == model.OperatingOnline && slices.ContainsFunc(below, isRejected) {
			now[listener] = model.OperatingError
		}
	}
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
