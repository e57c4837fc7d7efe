package status

import (
	"iter"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// partSize is how many records are sent at once. Each is a transaction of its own for the driver-agent, 2 ms when it has
// nothing else to do and 60 ms on a machine that is busy: a thousand took longer than anyone waits, and were then sent
// again beside the first ones. A request costs 140 ms whatever is in it.
const partSize = 100

// deletedSize is how many records one counts for that says DELETED: the driver-agent reads the object, its pool and all
// other members of that for it. The first of a thousand members take it 0.4 s each on a machine that is busy.
const deletedSize = 5

// parts yields an update in pieces of at most partSize, in the order in which the driver-agent applies one update
// (octavia/api/drivers/driver_agent/driver_updater.py): the load balancer, whose record ends the lock, is last. What is
// yielded may be changed.
func parts(update model.StatusUpdate) iter.Seq[model.StatusUpdate] {
	return func(yield func(model.StatusUpdate) bool) {
		part, size := model.StatusUpdate{}, 0
		for _, kind := range []model.Kind{
			model.KindMember, model.KindHealthMonitor, model.KindPool, model.KindL7Rule, model.KindL7Policy, model.KindListener,
			model.KindLoadBalancer,
		} {
			for _, record := range *update.Records(kind) {
				costs := 1
				if record.ProvisioningStatus == model.ProvisioningDeleted {
					costs = deletedSize
				}
				if size+costs > partSize {
					if !yield(part) {
						return
					}
					part, size = model.StatusUpdate{}, 0
				}
				into := part.Records(kind)
				*into = append(*into, record)
				size += costs
			}
		}
		if size > 0 {
			yield(part)
		}
	}
}
