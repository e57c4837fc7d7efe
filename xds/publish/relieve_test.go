package publish

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// checking is resources of a pool whose members have health checks; the timeout is that of a check.
func checking(t *testing.T, timeout time.Duration, words string) *translate.Resources {
	t.Helper()
	want := resources(t, "a", 0, 1)
	want.Clusters["a"].HealthChecks = []*corev3.HealthCheck{{Timeout: durationpb.New(timeout)}}
	want.Endpoints["a@"] = endpoints(words)
	return want
}

// checks says how the checks of the only cluster stand.
type checks func() (Checked, error)

func (c checks) Checked(context.Context, string) (map[string]Checked, error) {
	is, err := c()
	return map[string]Checked{"a": is}, err
}

// serving are the endpoints that the server has.
func (f *fake) serving(t *testing.T) string {
	t.Helper()
	message, err := f.Resource(node, server.Key{TypeURL: resource.EndpointType, Name: "a@"}).Message()
	must(t, err)
	return inWords(message.(*endpointv3.ClusterLoadAssignment))
}

// TestFormerEndpointsStay has the checks of new endpoints take a while, or never end, or nobody to tell of them.
func TestFormerEndpointsStay(t *testing.T) {
	const sets = 2 // with the former, and without
	for name, test := range map[string]struct {
		want    string
		timeout time.Duration
		// checks is asked with the time since the change.
		checks func(since time.Duration) (Checked, error)
		took   time.Duration
		sets   int
	}{
		"one that stays is good": {"a", time.Second, func(time.Duration) (Checked, error) { return Checked{Healthy: 2}, nil }, 0, 1},
		"nobody was good":        {"c", time.Second, func(time.Duration) (Checked, error) { return Checked{}, nil }, 0, 1},
		"a new one is good": {"c", time.Minute, func(since time.Duration) (Checked, error) {
			if since < 2*time.Second {
				return Checked{Healthy: 2, Unchecked: 1}, nil
			}
			return Checked{Healthy: 3, Unchecked: 1}, nil
		}, 2 * time.Second, sets},
		"all are bad": {"c", time.Minute, func(since time.Duration) (Checked, error) {
			if since < 2*time.Second {
				return Checked{Healthy: 2, Unchecked: 1}, nil
			}
			return Checked{Healthy: 2}, nil
		}, 2 * time.Second, sets},
		"no result": {"c", 3 * time.Second, func(time.Duration) (Checked, error) {
			return Checked{Healthy: 2, Unchecked: 1}, nil
		}, 4 * time.Second, sets},
		"no result of a long check": {"c", time.Minute, func(time.Duration) (Checked, error) {
			return Checked{Healthy: 2, Unchecked: 1}, nil
		}, longestStay, sets},
		"nobody tells": {"c", 3 * time.Second, func(time.Duration) (Checked, error) {
			return Checked{}, errors.New("no agent")
		}, 4 * time.Second, sets},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				p := New(f, f, nil)
				begin := time.Now()
				p.Checks = checks(func() (Checked, error) { return test.checks(time.Since(begin)) })
				_, err := p.Publish(t.Context(), node, checking(t, test.timeout, "a b"))
				must(t, err)
				f.log, begin = nil, time.Now()
				_, err = p.Publish(t.Context(), node, checking(t, test.timeout, test.want))
				must(t, err)
				if took := time.Since(begin); took < test.took || took > test.took+longestLook {
					t.Errorf("it took %v, want %v", took, test.took)
				}
				if len(f.log) != 2*test.sets { // each is waited for
					t.Errorf("it did %q", f.log)
				}
				if got := f.serving(t); got != test.want {
					t.Errorf("left are %s", got)
				}
				if left := p.nodes[node].leaving; len(left) > 0 {
					t.Errorf("remembered: %v", left)
				}
			})
		})
	}
}

// TestFormerEndpointsGoInTime has changes that never cease, each of which takes the place of one that waits for checks: what was
// removed first goes when it would have gone without them.
func TestFormerEndpointsGoInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := New(f, f, nil)
		p.Checks = checks(func() (Checked, error) { return Checked{Healthy: 1, Unchecked: 1}, nil })
		_, err := p.Publish(t.Context(), node, checking(t, 2*time.Second, "a"))
		must(t, err)
		begin := time.Now()
		for i := range 40 {
			go func() {
				_, _ = p.Publish(context.Background(), node, checking(t, 2*time.Second, []string{"b", "c"}[i%2]))
			}()
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			stays := byPlace(func() *endpointv3.ClusterLoadAssignment {
				message, err := f.Resource(node, server.Key{TypeURL: resource.EndpointType, Name: "a@"}).Message()
				must(t, err)
				return message.(*endpointv3.ClusterLoadAssignment)
			}())["a:80"] != nil
			if since := time.Since(begin); stays != (since < 3*time.Second) && since != 3*time.Second {
				t.Fatalf("after %v, it stays: %v", since, stays)
			}
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		if got := f.serving(t); got != "c" {
			t.Errorf("left are %s", got)
		}
	})
}

// TestFormerEndpointsComeBack takes a change back while the former endpoints stay.
func TestFormerEndpointsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		p := New(f, f, nil)
		p.Checks = checks(func() (Checked, error) { return Checked{Healthy: 1, Unchecked: 1}, nil })
		_, err := p.Publish(t.Context(), node, checking(t, time.Minute, "a"))
		must(t, err)
		go func() { _, _ = p.Publish(context.Background(), node, checking(t, time.Minute, "b")) }()
		time.Sleep(longestStay - time.Second)
		synctest.Wait()
		if got := f.serving(t); got != "a b" {
			t.Fatalf("there are %s", got)
		}
		_, err = p.Publish(t.Context(), node, checking(t, time.Minute, "a"))
		must(t, err)
		if got := f.serving(t); got != "a" {
			t.Errorf("left are %s", got)
		}
		// And its time begins anew.
		begin := time.Now()
		_, err = p.Publish(t.Context(), node, checking(t, time.Minute, "b"))
		must(t, err)
		if took := time.Since(begin); took < longestStay {
			t.Errorf("it stayed for %v", took)
		}
	})
}
