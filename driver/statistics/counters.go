package statistics

import (
	"slices"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// advance returns what a listener has counted, given what it says now. A counter that went back began at 0 again.
func advance(known model.ListenerStatistics, now model.Counters, active uint64) model.ListenerStatistics {
	known.ActiveConnections = active
	before, last, next := fields(&known.Before), fields(&known.Now), fields(&now)
	for i := range next {
		if *next[i] < *last[i] {
			*before[i] += *last[i]
		}
	}
	if restarted(known.Now.RequestTimes, now.RequestTimes) {
		known.Before.RequestTimes = addTimes(known.Before.RequestTimes, known.Now.RequestTimes)
	}
	known.Now = now
	return known
}

// settle moves what was counted to what was counted before: the counters begin at 0 now, and nobody is connected.
func settle(known model.ListenerStatistics) model.ListenerStatistics {
	return model.ListenerStatistics{Before: add(known.Before, known.Now)}
}

// total is all that a listener has counted on an amphora.
func total(counted model.ListenerStatistics) model.Counters { return add(counted.Before, counted.Now) }

func add(a, b model.Counters) model.Counters {
	sum, more := fields(&a), fields(&b)
	for i := range sum {
		*sum[i] += *more[i]
	}
	a.RequestTimes = addTimes(a.RequestTimes, b.RequestTimes)
	return a
}

func fields(c *model.Counters) []*uint64 {
	all := []*uint64{&c.TotalConnections, &c.BytesIn, &c.BytesOut, &c.RequestErrors, &c.RequestTimeSum}
	for i := range c.Responses {
		all = append(all, &c.Responses[i])
	}
	return all
}

// restarted reports whether a histogram began at 0 again.
func restarted(last, now []model.TimeBucket) bool {
	if len(last) == 0 {
		return false
	}
	return len(now) == 0 || now[len(now)-1].Count < last[len(last)-1].Count
}

// addTimes adds histograms. Of two with different buckets, as after an upgrade of Envoy, the second one is all that counts.
func addTimes(a, b []model.TimeBucket) []model.TimeBucket {
	switch {
	case len(b) == 0:
		return a
	case !slices.EqualFunc(a, b, func(a, b model.TimeBucket) bool { return a.UpperBound == b.UpperBound }):
		return slices.Clone(b)
	}
	sum := slices.Clone(a)
	for i := range sum {
		sum[i].Count += b[i].Count
	}
	return sum
}

// counters reads a report.
func counters(said *agentapiv1.ListenerStatistics) model.Counters {
	c := model.Counters{
		TotalConnections: said.GetTotalConnections(), BytesIn: said.GetBytesIn(), BytesOut: said.GetBytesOut(),
		RequestErrors: said.GetRequestErrors(), RequestTimeSum: said.GetRequestTimeSumMs(),
		Responses: [5]uint64{
			said.GetResponses_1Xx(), said.GetResponses_2Xx(), said.GetResponses_3Xx(), said.GetResponses_4Xx(), said.GetResponses_5Xx(),
		},
	}
	for _, bucket := range said.GetRequestTime() {
		c.RequestTimes = append(c.RequestTimes, model.TimeBucket{UpperBound: bucket.GetUpperBoundMs(), Count: bucket.GetCount()})
	}
	return c
}
