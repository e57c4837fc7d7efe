package publish

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// Changes that never cease: each is newer than the time that a publication takes. One of them has to come to its end again and
// again, within the bound that turn.go states, and the last of all has to be in effect at the end.
func TestEndlessChangesComeIntoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.takes = 300 * time.Millisecond // a phase
		p := New(f, f, nil)
		const every, long = 100 * time.Millisecond, time.Minute
		ended := 0
		results := make(chan error, int(long/every))
		for version := range int64(long / every) {
			go func() {
				_, err := p.Publish(context.Background(), node, resources(t, "a", 1, version+1))
				results <- err
			}()
			time.Sleep(every)
		}
		synctest.Wait()
		for range int(long / every) {
			switch err := <-results; {
			case err == nil:
				ended++
			case !errors.Is(err, ErrSuperseded):
				t.Fatal(err)
			}
		}
		if ended < int(long/(patience+undisturbed)) {
			t.Errorf("%d publications of a minute came to their end", ended)
		}
		check(t, f.names(resource.ClusterType), []string{"a"})
		want, err := marshal(resources(t, "a", 1, int64(long/every)))
		must(t, err)
		if got := f.Versions(node, resource.ClusterType)["a"]; got != want[resource.ClusterType]["a"].Version {
			t.Error("the last change is not in effect")
		}
	})
}

// What is newer may be what ends the wait of the one that runs: it is not kept waiting unless changes have not ceased before.
func TestCorrectionInterruptsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := New(f, f, nil)
		f.deaf = true
		older := make(chan error, 1)
		go func() {
			_, err := p.Publish(context.Background(), node, resources(t, "a", 1, 1))
			older <- err
		}()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		begin := time.Now()
		f.deaf = false
		_, err := p.Publish(context.Background(), node, resources(t, "a", 1, 2))
		must(t, err)
		if err := <-older; !errors.Is(err, ErrSuperseded) || time.Since(begin) > 0 {
			t.Fatal(err, time.Since(begin))
		}
	})
}

func TestEachPhaseHasItsDeadline(t *testing.T) {
	for phase, test := range map[string]struct {
		deaf string
		took time.Duration
		want []string
	}{
		// What is late gets no traffic, and nothing is removed.
		"widen": {"cluster", DefaultDeadlines().Widen, []string{"set endpoint b@", "set cluster b"}},
		// Nor is it when Envoy has all of it and says nothing, since another cluster warms; but that gets traffic.
		"widen but for what Envoy has": {"pause", DefaultDeadlines().Widen, []string{
			"set endpoint b@", "set cluster b", "set route l", "wait route l",
		}},
		"shift": {"route", DefaultDeadlines().Shift, []string{
			"set endpoint b@", "set cluster b", "wait cluster b", "wait endpoint b@", "warm", "set route l",
		}},
		"narrow": {"the end", DefaultDeadlines().Narrow, []string{
			"set endpoint b@", "set cluster b", "wait cluster b", "wait endpoint b@", "warm", "set route l", "wait route l",
			"remove cluster a",
		}},
	} {
		t.Run(phase, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				p := New(f, f, nil)
				_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
				must(t, err)
				f.log, f.deafTo = nil, test.deaf
				begin := time.Now()
				_, err = p.Publish(t.Context(), node, resources(t, "b", 1, 1))
				if !errors.Is(err, ErrLate) {
					t.Fatalf("got %v", err)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("it took %s", took)
				}
				check(t, f.log, test.want)
				// And on from there.
				f.deafTo = ""
				_, err = p.Publish(t.Context(), node, resources(t, "b", 1, 1))
				must(t, err)
				check(t, f.names(resource.ClusterType), []string{"b"})
				check(t, f.names(resource.EndpointType), []string{"b@"})
			})
		})
	}
}

// The deadline of the caller is none of a phase: the caller is gone.
func TestEndOfTheCallIsNotLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.deaf = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := New(f, f, nil).Publish(ctx, node, resources(t, "a", 1, 1))
		if errors.Is(err, ErrLate) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

// However fast changes come, a bad resource is sent once a second at most; its neighbours are not kept waiting for that.
func TestBadResourceCostsANACKASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := New(f, f, nil)
		_, err := p.Publish(t.Context(), node, resources(t, "a", 1, 1))
		must(t, err)
		bad := server.Key{TypeURL: resource.RouteType, Name: "l"}
		f.refuse = bad
		begin := time.Now()
		for members := range 100 {
			want := resources(t, "a", 1, 1)
			want.Routes["l"].VirtualHosts = nil
			want.Endpoints["a@"] = resources(t, "a", members+2, 1).Endpoints["a@"]
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			result, err := p.Publish(ctx, node, want)
			cancel()
			if err == nil && result.Rejected[translate.Key(bad)] != "no" {
				t.Fatalf("refused: %v", result.Rejected)
			}
			resources, err := marshal(want)
			must(t, err)
			if got := f.Versions(node, resource.EndpointType)["a@"]; got != resources[resource.EndpointType]["a@"].Version {
				t.Fatal("the member is not there")
			}
		}
		if most := int(time.Since(begin)/time.Second) + 1; f.refusals > most || f.refusals < most/2 {
			t.Errorf("%d NACKs in %s", f.refusals, time.Since(begin))
		}
		// Healed by what is beside it, at once or a second later, without a change of its own.
		f.refuse = server.Key{}
		want := resources(t, "a", 1, 1)
		want.Routes["l"].VirtualHosts = nil
		result, err := p.Publish(t.Context(), node, want)
		must(t, err)
		if len(result.Rejected) > 0 || len(f.refused) > 0 {
			t.Fatalf("refused: %v", result.Rejected)
		}
	})
}
