package amphora

import (
	"context"
	"fmt"
	"time"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/xds/publish"
)

// firstLook and longestLook bound the time between two probes of an Envoy that still warms.
const firstLook, longestLook = 5 * time.Millisecond, 100 * time.Millisecond

// Probe returns how the amphora's Envoy is, asked after the call began.
func (f *Fleet) Probe(ctx context.Context, id string) (*agentapiv1.EnvoyStatus, error) {
	result, err := f.ask(ctx, id, &agentapiv1.Probe{})
	return result.GetEnvoy(), err
}

// Checked returns how the health checks of the amphora's Envoy stand, asked after the call began.
func (f *Fleet) Checked(ctx context.Context, node string) (map[string]publish.Checked, error) {
	result, err := f.ask(ctx, node, &agentapiv1.Probe{Checks: true})
	if err != nil {
		return nil, err
	}
	checked := make(map[string]publish.Checked, len(result.GetChecks()))
	for _, is := range result.GetChecks() {
		checked[is.GetCluster()] = publish.Checked{Healthy: is.GetHealthy(), Unchecked: is.GetUnchecked()}
	}
	return checked, nil
}

// ask sends a probe and waits for its result.
func (f *Fleet) ask(ctx context.Context, id string, probe *agentapiv1.Probe) (*agentapiv1.ProbeResult, error) {
	a, err := f.connected(id)
	if err != nil {
		return nil, err
	}
	answer := make(chan *agentapiv1.ProbeResult, 1)
	f.mu.Lock()
	a.lastProbe++
	number := a.lastProbe
	probe.ProbeId = number
	a.probes[number] = answer
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(a.probes, number)
	}()
	if err := a.say(ctx, &agentapiv1.Instruction{Content: &agentapiv1.Instruction_Probe{Probe: probe}}); err != nil {
		return nil, err
	}
	select {
	case result := <-answer:
		return result, nil
	case <-a.ended:
		return nil, fmt.Errorf("amphora %s: %w", id, ErrNotConnected)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Warm returns nil when no cluster and no listener of the amphora's Envoy is warming, asked after the call began; so
// everything that Envoy has acknowledged is in use. When ctx ends before, the error says what it waited for.
func (f *Fleet) Warm(ctx context.Context, node string) error {
	wait := firstLook
	missing := ErrNotConnected.Error()
	for {
		status, err := f.Probe(ctx, node)
		switch {
		case err == nil:
			if missing = notWarm(status); missing == "" {
				return nil
			}
		case ctx.Err() == nil:
			missing = err.Error()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("amphora %s is not ready: %s: %w", node, missing, ctx.Err())
		case <-time.After(wait):
		}
		wait = min(2*wait, longestLook)
	}
}

// notWarm says what an Envoy is busy with, "" if it is ready. An Envoy that starts asks for listeners when its clusters are
// ready, and is not live until it has an answer: with clusters only, that is as warm as it gets.
func notWarm(status *agentapiv1.EnvoyStatus) string {
	switch status.GetState() {
	case agentapiv1.EnvoyStatus_RUNNING, agentapiv1.EnvoyStatus_DRAINING:
	default:
		if !status.GetAwaitingListeners() {
			reason := "Envoy is " + status.GetState().String()
			if status.GetLastError() != "" {
				reason += ": " + status.GetLastError()
			}
			return reason
		}
	}
	if status.GetWarmingClusters() > 0 || status.GetWarmingListeners() > 0 {
		return fmt.Sprintf("%d clusters and %d listeners are warming", status.GetWarmingClusters(), status.GetWarmingListeners())
	}
	return ""
}
