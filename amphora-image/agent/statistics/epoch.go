package statistics

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

// bucketName names a histogram's bucket as a counter. Envoy has the same bounds for as long as it runs.
func bucketName(i int) string { return fmt.Sprintf("le%02d", i) }

// Counted is what is known of one listener in one epoch. It is written to the agent's file as it is.
type Counted struct {
	// Last is what Envoy said last, by family and name; Before is what was counted when a family last began anew, added up.
	Last   map[string]family `json:"-"`
	Before map[string]family `json:"before,omitempty"`
	// bounds are those of the histogram; gone says that Envoy has the listener no more, and told that the controller knows.
	bounds     []float64
	gone, told bool
}

// epoch is the life of one Envoy process.
type epoch struct {
	ID        string              `json:"id"`
	Listeners map[string]*Counted `json:"listeners"`
	// sent says that some of it may have reached the controller.
	sent bool
	// taken says that there was a reading.
	taken bool
}

func newEpoch(id string) *epoch { return &epoch{ID: id, Listeners: map[string]*Counted{}} }

// take takes up a reading. It reports whether something has begun anew, which the agent has to remember.
func (e *epoch) take(listeners map[string]map[string]family) (anew bool) {
	e.taken = true
	for id, counted := range e.Listeners {
		if listeners[id] == nil && !counted.gone {
			counted.gone, counted.told = true, false
			for kind := range counted.Last {
				if kind != ofTimes {
					anew = counted.count(kind, nil) || anew
				}
			}
		}
	}
	for id, families := range listeners {
		counted := e.listener(id)
		counted.gone = false
		for kind := range counted.Last {
			if families[kind] == nil && kind != ofTimes {
				anew = counted.count(kind, nil) || anew
			}
		}
		for kind, figures := range families {
			anew = counted.count(kind, figures) || anew
		}
	}
	return anew
}

// takeTimes takes up a histogram; nil when Envoy has none.
func (e *epoch) takeTimes(id string, counts family, bounds []float64) (anew bool) {
	counted := e.Listeners[id]
	if counted == nil || counts == nil && counted.Last[ofTimes] == nil {
		return false
	}
	if counts != nil {
		counted.bounds = bounds
	}
	return counted.count(ofTimes, counts)
}

func (e *epoch) listener(id string) *Counted {
	counted := e.Listeners[id]
	if counted == nil {
		counted = &Counted{}
		e.Listeners[id] = counted
	}
	if counted.Last == nil {
		counted.Last = map[string]family{}
	}
	if counted.Before == nil {
		counted.Before = map[string]family{}
	}
	return counted
}

// count takes up what Envoy says of a family. One that has fallen in any of its counters has begun anew: it was made anew,
// with its listener, since Envoy keeps it as long as something of the old one lives.
func (c *Counted) count(kind string, now family) (anew bool) {
	last := c.Last[kind]
	for name, value := range last {
		if !isGauge(name) && now[name] < value {
			anew = true
			break
		}
	}
	if anew {
		if c.Before[kind] == nil {
			c.Before[kind] = family{}
		}
		for name, value := range last {
			if !isGauge(name) && value > 0 {
				c.Before[kind][name] += value
			}
		}
	}
	c.Last[kind] = now
	return anew
}

// total is everything that was counted in the epoch, with the gauges of now.
func (c *Counted) total() map[string]family {
	sum := make(map[string]family, len(c.Last)+len(c.Before))
	for _, part := range []map[string]family{c.Before, c.Last} {
		for kind, figures := range part {
			if sum[kind] == nil {
				sum[kind] = family{}
			}
			for name, value := range figures {
				sum[kind][name] += value
			}
		}
	}
	return sum
}

// report is the epoch as the controller gets it. Listeners that are gone are in it until the controller knows, and in the last one.
func (e *epoch) report(final bool) *agentapiv1.StatisticsReport {
	report := &agentapiv1.StatisticsReport{Epoch: e.ID, Final: final}
	for _, id := range slices.Sorted(maps.Keys(e.Listeners)) {
		counted := e.Listeners[id]
		if counted.Last == nil || counted.gone && counted.told && !final {
			continue // of an agent before this one, or known
		}
		statistics := message(id, counted.total(), counted.bounds)
		if final {
			statistics.ActiveConnections = 0
		}
		report.Listeners = append(report.Listeners, statistics)
	}
	return report
}

// merge adds the counts of another report, of listeners that began at 0 with it, to this one.
func merge(into, from *agentapiv1.StatisticsReport) {
	known := map[string]*agentapiv1.ListenerStatistics{}
	for _, statistics := range into.GetListeners() {
		known[statistics.GetListenerId()] = statistics
	}
	for _, more := range from.GetListeners() {
		sum := known[more.GetListenerId()]
		if sum == nil {
			into.Listeners = append(into.Listeners, more)
			continue
		}
		sum.TotalConnections += more.GetTotalConnections()
		sum.BytesIn += more.GetBytesIn()
		sum.BytesOut += more.GetBytesOut()
		sum.RequestErrors += more.GetRequestErrors()
		sum.Responses_1Xx += more.GetResponses_1Xx()
		sum.Responses_2Xx += more.GetResponses_2Xx()
		sum.Responses_3Xx += more.GetResponses_3Xx()
		sum.Responses_4Xx += more.GetResponses_4Xx()
		sum.Responses_5Xx += more.GetResponses_5Xx()
		sum.RequestTimeSumMs += more.GetRequestTimeSumMs()
		if len(sum.GetRequestTime()) == 0 {
			sum.RequestTime = more.GetRequestTime()
			continue
		}
		for i, bucket := range more.GetRequestTime() {
			if i < len(sum.GetRequestTime()) {
				sum.RequestTime[i].Count += bucket.GetCount()
			}
		}
	}
}

// heard notes which listeners that are gone the controller knows the last of.
func (e *epoch) heard(report *agentapiv1.StatisticsReport) {
	for _, statistics := range report.GetListeners() {
		counted := e.Listeners[statistics.GetListenerId()]
		if counted != nil && counted.gone && proto.Equal(statistics, message(statistics.GetListenerId(), counted.total(), counted.bounds)) {
			counted.told = true
		}
	}
}
