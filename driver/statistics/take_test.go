package statistics

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// said makes a report of one listener.
func said(epoch, listener string, connections, bytes, active uint64) *agentapiv1.StatisticsReport {
	return &agentapiv1.StatisticsReport{Epoch: epoch, Listeners: []*agentapiv1.ListenerStatistics{{
		ListenerId: listener, TotalConnections: connections, BytesIn: bytes, ActiveConnections: active,
	}}}
}

// TestTake tells stories of a load balancer and what its listener "l" then has in all.
func TestTake(t *testing.T) {
	type step struct {
		amphora string
		report  *agentapiv1.StatisticsReport
		// exist are the amphorae at that time; "without l" is when the listener is gone.
		exist    string
		withoutL bool
	}
	last := func(report *agentapiv1.StatisticsReport) *agentapiv1.StatisticsReport {
		report.Final = true
		return report
	}
	silent := &agentapiv1.StatisticsReport{Epoch: "1"}
	for name, test := range map[string]struct {
		steps                      []step
		connections, bytes, active uint64
		unknown                    bool
	}{
		"one report": {steps: []step{{"a", said("1", "l", 3, 30, 1), "a", false}}, connections: 3, bytes: 30, active: 1},
		"the same again": {
			steps: []step{{"a", said("1", "l", 3, 30, 1), "a", false}, {"a", said("1", "l", 3, 30, 1), "a", false}}, connections: 3, bytes: 30, active: 1,
		},
		"more": {
			steps: []step{{"a", said("1", "l", 3, 30, 1), "a", false}, {"a", said("1", "l", 5, 50, 0), "a", false}}, connections: 5, bytes: 50,
		},
		"Envoy is started again": {
			steps: []step{{"a", said("1", "l", 3, 30, 1), "a", false}, {"a", said("2", "l", 4, 40, 2), "a", false}}, connections: 7, bytes: 70, active: 2,
		},
		"Envoy is started again, and says less twice": {
			steps: []step{
				{"a", said("1", "l", 3, 30, 1), "a", false}, {"a", said("2", "l", 1, 10, 0), "a", false}, {"a", said("2", "l", 2, 20, 0), "a", false},
			}, connections: 5, bytes: 50,
		},
		"the listener comes back, in the same Envoy": {
			steps: []step{{"a", said("1", "l", 3, 30, 1), "a", false}, {"a", silent, "a", false}, {"a", said("1", "l", 1, 40, 1), "a", false}},
			// The connections began anew. The bytes did not, as far as anybody can tell.
			connections: 4, bytes: 40, active: 1,
		},
		"the listener is not named": {
			steps: []step{{"a", said("1", "l", 3, 30, 1), "a", false}, {"a", silent, "a", false}}, connections: 3, bytes: 30,
		},
		"last words": {
			steps: []step{{"a", last(said("1", "l", 3, 30, 9)), "a", false}, {"a", said("2", "l", 1, 10, 1), "a", false}}, connections: 4, bytes: 40, active: 1,
		},
		"two amphorae": {
			steps: []step{{"a", said("1", "l", 3, 30, 1), "ab", false}, {"b", said("1", "l", 4, 40, 2), "ab", false}}, connections: 7, bytes: 70, active: 3,
		},
		"another amphora takes over": {
			steps: []step{{"a", said("1", "l", 3, 30, 1), "a", false}, {"b", said("1", "l", 4, 40, 2), "b", false}}, connections: 7, bytes: 70, active: 2,
		},
		"and another": {
			steps: []step{
				{"a", said("1", "l", 3, 30, 1), "a", false}, {"b", said("1", "l", 4, 40, 2), "b", false}, {"c", said("1", "l", 5, 50, 3), "c", false},
			}, connections: 12, bytes: 120, active: 3,
		},
		"one that is gone reports late": {
			steps: []step{
				{"a", said("1", "l", 3, 30, 1), "a", false}, {"b", said("1", "l", 4, 40, 2), "b", false}, {"a", said("1", "l", 3, 30, 1), "b", false},
			}, connections: 7, bytes: 70, active: 2,
		},
		"the listener is deleted": {
			steps: []step{{"a", said("1", "l", 3, 30, 1), "a", false}, {"a", said("1", "l", 3, 30, 1), "a", true}}, unknown: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			statistics := model.LoadBalancerStatistics{}
			for _, step := range test.steps {
				counted := store.Counted{Statistics: statistics, Amphorae: map[string]bool{}, Listeners: map[string]bool{"l": !step.withoutL}}
				for _, id := range step.exist {
					counted.Amphorae[string(id)] = true
				}
				take(counted, step.amphora, step.report)
			}
			got, known := sum(statistics)["l"]
			want := Listener{ID: "l", ActiveConnections: test.active}
			want.TotalConnections, want.BytesIn = test.connections, test.bytes
			if test.unknown {
				want = Listener{}
			}
			if diff := cmp.Diff(want, got); diff != "" || known == test.unknown {
				t.Errorf("known: %t; (-want +got):\n%s", known, diff)
			}
		})
	}
}

// TestEveryCounter carries every counter over the start of another Envoy.
func TestEveryCounter(t *testing.T) {
	report := func(epoch string, times ...uint64) *agentapiv1.StatisticsReport {
		listener := &agentapiv1.ListenerStatistics{
			ListenerId: "l", ActiveConnections: 1, TotalConnections: 2, BytesIn: 3, BytesOut: 4, RequestErrors: 5,
			Responses_1Xx: 6, Responses_2Xx: 7, Responses_3Xx: 8, Responses_4Xx: 9, Responses_5Xx: 10, RequestTimeSumMs: 11,
		}
		for i, count := range times {
			listener.RequestTime = append(listener.RequestTime, &agentapiv1.TimeBucket{UpperBoundMs: float64(i) + 0.5, Count: count})
		}
		return &agentapiv1.StatisticsReport{Epoch: epoch, Listeners: []*agentapiv1.ListenerStatistics{listener}}
	}
	for name, test := range map[string]struct {
		second *agentapiv1.StatisticsReport
		want   model.Counters
	}{
		"another Envoy": {report("2", 20, 40), model.Counters{
			TotalConnections: 4, BytesIn: 6, BytesOut: 8, RequestErrors: 10, Responses: [5]uint64{12, 14, 16, 18, 20}, RequestTimeSum: 22,
			RequestTimes: []model.TimeBucket{{UpperBound: 0.5, Count: 30}, {UpperBound: 1.5, Count: 70}},
		}},
		"its histogram begins anew": {report("1", 5, 6), model.Counters{
			TotalConnections: 2, BytesIn: 3, BytesOut: 4, RequestErrors: 5, Responses: [5]uint64{6, 7, 8, 9, 10}, RequestTimeSum: 11,
			RequestTimes: []model.TimeBucket{{UpperBound: 0.5, Count: 15}, {UpperBound: 1.5, Count: 36}},
		}},
		"another Envoy with other buckets": {report("2", 1, 2, 3), model.Counters{
			TotalConnections: 4, BytesIn: 6, BytesOut: 8, RequestErrors: 10, Responses: [5]uint64{12, 14, 16, 18, 20}, RequestTimeSum: 22,
			RequestTimes: []model.TimeBucket{{UpperBound: 0.5, Count: 1}, {UpperBound: 1.5, Count: 2}, {UpperBound: 2.5, Count: 3}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			counted := store.Counted{
				Statistics: model.LoadBalancerStatistics{}, Amphorae: map[string]bool{"a": true}, Listeners: map[string]bool{"l": true},
			}
			take(counted, "a", report("1", 10, 30))
			take(counted, "a", test.second)
			if diff := cmp.Diff(test.want, sum(counted.Statistics)["l"].Counters); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
