package statistics

import (
	"maps"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// gone is where the sums of amphorae that no longer exist are kept.
const gone = ""

// take brings what is known of a load balancer up to what one of its amphorae reports. It may be given the same report twice.
//
// What is known of an amphora that is gone is added to the sums of its predecessors, since its listeners' totals go on. What
// is known of a listener that is gone is dropped: Octavia has dropped its row as well, and would make it anew.
func take(counted store.Counted, amphoraID string, report *agentapiv1.StatisticsReport) {
	if counted.Amphorae[amphoraID] { // or its sums are among those of the gone ones, and would be added once more
		counted.Statistics[amphoraID] = heard(counted.Statistics[amphoraID], report)
	}
	tidy(counted)
}

func heard(known model.AmphoraStatistics, report *agentapiv1.StatisticsReport) model.AmphoraStatistics {
	listeners := maps.Clone(known.Listeners)
	if listeners == nil {
		listeners = map[string]model.ListenerStatistics{}
	}
	for id, listener := range listeners {
		if report.GetEpoch() != known.Epoch {
			listener = settle(listener)
		}
		listener.ActiveConnections = 0 // of those that the report does not name
		listeners[id] = listener
	}
	for _, said := range report.GetListeners() {
		active := said.GetActiveConnections()
		if report.GetFinal() {
			active = 0
		}
		listeners[said.GetListenerId()] = advance(listeners[said.GetListenerId()], counters(said), active)
	}
	return model.AmphoraStatistics{Epoch: report.GetEpoch(), Listeners: listeners}
}

func tidy(counted store.Counted) {
	for id, amphora := range counted.Statistics {
		maps.DeleteFunc(amphora.Listeners, func(listener string, _ model.ListenerStatistics) bool {
			return !counted.Listeners[listener]
		})
		if id == gone || counted.Amphorae[id] {
			continue
		}
		sums := counted.Statistics[gone]
		if sums.Listeners == nil {
			sums.Listeners = map[string]model.ListenerStatistics{}
		}
		for listener, statistics := range amphora.Listeners {
			sums.Listeners[listener] = model.ListenerStatistics{Before: add(sums.Listeners[listener].Before, total(statistics))}
		}
		counted.Statistics[gone] = sums
		delete(counted.Statistics, id)
	}
}

// Listener is what all amphorae of a load balancer together have counted for one of its listeners.
type Listener struct {
	ID                string
	ActiveConnections uint64
	model.Counters
}

// sum adds up the amphorae, by listener.
func sum(statistics model.LoadBalancerStatistics) map[string]Listener {
	all := map[string]Listener{}
	for _, amphora := range statistics {
		for id, counted := range amphora.Listeners {
			listener := all[id]
			listener.ID = id
			listener.ActiveConnections += counted.ActiveConnections
			listener.Counters = add(listener.Counters, total(counted))
			all[id] = listener
		}
	}
	return all
}
