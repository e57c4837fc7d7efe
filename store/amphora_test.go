package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func TestAmphorae(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		ctx, at := t.Context(), now.now().UTC().Truncate(time.Microsecond)
		amphora := model.Amphora{
			ID: newID(), LoadBalancerID: newID(), Status: model.AmphoraBooting, Role: "STANDALONE", Compute: "local",
		}
		put := func() {
			t.Helper()
			if err := s.PutAmphora(ctx, amphora); err != nil {
				t.Fatal(err)
			}
		}
		want := func() {
			t.Helper()
			got, err := s.Amphora(ctx, amphora.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&amphora, got); diff != "" {
				t.Errorf("Amphora (-want +got):\n%s", diff)
			}
		}
		put()
		amphora.CreatedAt = at
		want()
		if err := s.Heartbeat(ctx, amphora.ID, at.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		amphora.LastHeartbeat = at.Add(time.Minute)
		want()
		// A late and a repeated heartbeat change nothing, nor does a copy from before the heartbeat.
		for _, d := range []time.Duration{time.Minute, time.Second, 0} {
			if err := s.Heartbeat(ctx, amphora.ID, at.Add(d)); err != nil {
				t.Fatal(err)
			}
		}
		want()
		amphora.Status, amphora.ComputeID, amphora.LastHeartbeat = model.AmphoraAllocated, "pid 7", time.Time{}
		amphora.CreatedAt = at.Add(time.Hour)
		put()
		amphora.LastHeartbeat, amphora.CreatedAt = at.Add(time.Minute), at
		want()
		amphora.LastHeartbeat = at.Add(time.Hour)
		put()
		want()

		now.add(time.Second)
		other := model.Amphora{ID: newID(), LoadBalancerID: newID(), CreatedAt: now.now().UTC().Truncate(time.Microsecond)}
		if err := s.PutAmphora(ctx, other); err != nil {
			t.Fatal(err)
		}
		for lb, want := range map[string][]model.Amphora{
			"": {amphora, other}, amphora.LoadBalancerID: {amphora}, newID(): {},
		} {
			got, err := s.Amphorae(ctx, lb)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Amphorae(%q) (-want +got):\n%s", lb, diff)
			}
		}
		for range 2 {
			if err := s.DeleteAmphora(ctx, amphora.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Amphora(ctx, amphora.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Amphora: %v, want ErrNotFound", err)
		}
		if err := s.Heartbeat(ctx, amphora.ID, at); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Heartbeat: %v, want ErrNotFound", err)
		}
	})
}

func TestVIPPorts(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := newClock()
		s := storetest.OpenAt(t, dsn, now.now)
		ctx := t.Context()
		// The first is claimed and has its load balancer, the second is unclaimed, the last is claimed and has none.
		ports := make([]store.VIPPort, 3)
		for i := range ports {
			ports[i] = store.VIPPort{LoadBalancerID: newID(), PortID: newID(), ProjectID: newID()}
			if err := s.PutVIPPort(ctx, ports[i]); err != nil {
				t.Fatal(err)
			}
			ports[i].CreatedAt = now.now().UTC().Truncate(time.Microsecond)
			now.add(time.Minute)
		}
		for _, i := range []int{0, 2} {
			if err := s.ClaimVIPPort(ctx, ports[i].LoadBalancerID); err != nil {
				t.Fatal(err)
			}
			ports[i].Claimed = true
		}
		if _, err := s.SaveTree(ctx, &model.LoadBalancer{ID: ports[0].LoadBalancerID}); err != nil {
			t.Fatal(err)
		}
		got, err := s.VIPPort(ctx, ports[0].LoadBalancerID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&ports[0], got); diff != "" {
			t.Errorf("VIPPort (-want +got):\n%s", diff)
		}
		for _, test := range []struct {
			olderThan time.Time
			strayOnly bool
			want      []store.VIPPort
		}{
			{now.now(), false, ports},
			{now.now(), true, ports[1:]},
			{ports[2].CreatedAt, true, ports[1:2]},
			{ports[0].CreatedAt, false, []store.VIPPort{}},
		} {
			got, err := s.VIPPorts(ctx, test.olderThan, test.strayOnly)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("VIPPorts(%v, %v) (-want +got):\n%s", test.olderThan, test.strayOnly, diff)
			}
		}
		for range 2 {
			if err := s.DeleteVIPPort(ctx, ports[0].LoadBalancerID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.VIPPort(ctx, ports[0].LoadBalancerID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("VIPPort: %v, want ErrNotFound", err)
		}
		if err := s.ClaimVIPPort(ctx, ports[0].LoadBalancerID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("ClaimVIPPort: %v, want ErrNotFound", err)
		}
	})
}
