package amphora

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
)

const (
	// DefaultApartAfter is how long an agent may say that its Envoy is connected to a controller while it is not to this one.
	// It is more than Envoy takes to give up a connection that is never answered (5 s, connectTimeout of xds/bootstrap), since
	// Envoy's gauge counts one that it has begun (seen with 1.40).
	DefaultApartAfter = 8 * time.Second
	// longestApart bounds the patience, which doubles each time that the agent comes back and its Envoy is not here still.
	longestApart = 2 * time.Minute
)

// errApart is what the agent is told; it dials again, and the next connection may lead to where its Envoy is.
var errApart = grpcstatus.Error(codes.Aborted, "this amphora's Envoy is connected to another controller: dial again, to come there, too")

// parting is what a stream knows of its Envoy's whereabouts.
type parting struct {
	// since is when the agent first said that its Envoy is connected, and has said so ever since, while it was not here; zero
	// when the last heartbeat said otherwise.
	since time.Time
	// patience is how long that may last.
	patience time.Duration
}

// apart says whether the agent has to dial again, to come to where its Envoy is. It is asked with each heartbeat.
//
// An Envoy that is dead or has not dialled yet is connected to nobody, and an older agent does not say that it is connected:
// they stay. So do those whose Envoys dial in vain, unless no heartbeat falls into the pauses between the attempts; then
// the agent dials again for nothing, ever less often.
func (p *parting) apart(envoy *agentapiv1.EnvoyStatus, here bool, now time.Time, first time.Duration) bool {
	if here || p.patience == 0 {
		p.patience = first
	}
	serves := envoy.GetState() == agentapiv1.EnvoyStatus_RUNNING || envoy.GetState() == agentapiv1.EnvoyStatus_STARTING
	if here || !serves || !envoy.GetXdsConnected() {
		p.since = time.Time{}
		return false
	}
	if p.since.IsZero() {
		p.since = now
	}
	if now.Sub(p.since) < p.patience {
		return false
	}
	p.since, p.patience = time.Time{}, min(2*p.patience, longestApart)
	return true
}

// apart looks whether the agent has to be sent away, with a report of it.
func (f *Fleet) apart(a *agent, report *agentapiv1.Report) bool {
	if f.options.EnvoyHere == nil || report.GetHeartbeat() == nil {
		return false
	}
	here := f.options.EnvoyHere(a.amphora.ID)
	f.mu.Lock()
	defer f.mu.Unlock()
	a.sentAway = a.parting.apart(report.GetHeartbeat().GetEnvoy(), here, f.options.Now(), f.options.ApartAfter)
	return a.sentAway
}

func newApartCounter(registry prometheus.Registerer) prometheus.Counter {
	counter := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "octavia_envoy_agents_apart_total",
		Help: "Streams of agents that were ended because their Envoys had been connected to another controller for a while: an agent " +
			"dials again, to come there, too.",
	})
	if registry != nil {
		registry.MustRegister(counter)
	}
	return counter
}
