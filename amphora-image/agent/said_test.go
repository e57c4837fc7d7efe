package agent_test

import (
	"context"
	"fmt"
	"sync"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// said is what agents reported, as a controller takes it up: totals over epochs, and states until they change.
type said struct {
	mu sync.Mutex
	// epochs are in the order in which they were first heard of.
	epochs     []string
	final      map[string]bool
	listeners  map[string]map[string]*agentapiv1.ListenerStatistics // the last of each, by epoch and listener
	active     map[string]uint64
	statistics int

	members map[string]*agentapiv1.MemberHealth // by pool/member
	full    map[string]bool
	health  []*agentapiv1.HealthReport
}

func newSaid() *said {
	return &said{
		final: map[string]bool{}, listeners: map[string]map[string]*agentapiv1.ListenerStatistics{}, active: map[string]uint64{},
		members: map[string]*agentapiv1.MemberHealth{}, full: map[string]bool{},
	}
}

func (s *said) hearStatistics(_ context.Context, _ model.Amphora, report *agentapiv1.StatisticsReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statistics++
	epoch := report.GetEpoch()
	if s.listeners[epoch] == nil {
		s.epochs = append(s.epochs, epoch)
		s.listeners[epoch] = map[string]*agentapiv1.ListenerStatistics{}
	}
	clear(s.active)
	for _, statistics := range report.GetListeners() {
		s.listeners[epoch][statistics.GetListenerId()] = statistics
		s.active[statistics.GetListenerId()] = statistics.GetActiveConnections()
	}
	s.final[epoch] = report.GetFinal()
}

// total adds up the epochs.
func (s *said) total(listener string) *agentapiv1.ListenerStatistics {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := &agentapiv1.ListenerStatistics{ListenerId: listener, ActiveConnections: s.active[listener]}
	for _, listeners := range s.listeners {
		one := listeners[listener]
		sum.TotalConnections += one.GetTotalConnections()
		sum.BytesIn += one.GetBytesIn()
		sum.BytesOut += one.GetBytesOut()
		sum.RequestErrors += one.GetRequestErrors()
		sum.Responses_2Xx += one.GetResponses_2Xx()
		sum.Responses_4Xx += one.GetResponses_4Xx()
		sum.Responses_5Xx += one.GetResponses_5Xx()
		sum.RequestTimeSumMs += one.GetRequestTimeSumMs()
		if len(one.GetRequestTime()) > 0 {
			sum.RequestTime = one.GetRequestTime()
		}
	}
	return sum
}

// ended reports whether the last word of the nth epoch was heard, and of none after it anything before that.
func (s *said) ended(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.epochs) > n && s.final[s.epochs[n]]
}

func (s *said) hearHealth(_ context.Context, _ model.Amphora, report *agentapiv1.HealthReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if report.GetWhole() {
		clear(s.members)
		clear(s.full)
	}
	for _, member := range report.GetMembers() {
		s.members[member.GetPoolId()+"/"+member.GetMemberId()] = member
	}
	for _, listener := range report.GetListeners() {
		s.full[listener.GetListenerId()] = listener.GetFull()
	}
	s.health = append(s.health, report)
}

func (s *said) states() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := map[string]string{}
	for id, member := range s.members {
		states[id] = member.GetState().String()
	}
	return states
}

// counted waits until the totals of a listener are these.
func (m *machine) counted(listener string, connections, in, out uint64) {
	m.t.Helper()
	testkit.Eventually(m.t, func() error {
		got := m.said.total(listener)
		if got.GetTotalConnections() != connections || got.GetBytesIn() != in || got.GetBytesOut() != out {
			return fmt.Errorf("%s: %v, want %d connections, %d bytes in, %d out", listener, got, connections, in, out)
		}
		return nil
	})
}

// forget is for what comes next to be seen.
func (s *said) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.members)
	clear(s.full)
	s.health = nil
}
