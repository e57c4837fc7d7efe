package server

import (
	"context"
	"testing"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

func TestHereIsFromArrivalToTheEnd(t *testing.T) {
	arrived, goOn := make(chan struct{}), make(chan struct{})
	f := start(t, func(options *Options) {
		options.Arrives = func(ctx context.Context, _ string) error {
			arrived <- struct{}{}
			select {
			case <-goOn:
			case <-ctx.Done():
			}
			return ctx.Err()
		}
	})
	if f.Here("n") {
		t.Error("here before it came")
	}
	c := f.connect(t, "n")
	<-arrived
	if state, _ := f.NodeState("n"); !f.Here("n") || state.Connected {
		t.Errorf("while it arrives: here %v, connected %v", f.Here("n"), state.Connected)
	}
	goOn <- struct{}{}
	c.ask(resource.ClusterType)
	testkit.Until(t, "connected", func() bool { state, _ := f.NodeState("n"); return state.Connected && f.Here("n") })
	c.close()
	testkit.Until(t, "gone", func() bool { return !f.Here("n") && len(f.Nodes()) == 0 })

	// One that goes while it arrives leaves nothing.
	c = f.connect(t, "n")
	<-arrived
	c.close()
	testkit.Until(t, "gone", func() bool { return !f.Here("n") && len(f.Nodes()) == 0 })
}
