package resync_test

import (
	"maps"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

func TestProvisioningStatusOfOneObject(t *testing.T) {
	fake := newFakeOctavia(t)
	fake.add("listeners", "l1", "PENDING_DELETE", 0, nil)
	fake.add("pools/p1/members", "m1", "ACTIVE", 0, nil)
	fake.add("pools/p1/members", "m2", "PENDING_DELETE", 0, nil)
	api := fake.api()
	for _, want := range []struct {
		ref    model.Ref
		status model.ProvisioningStatus
	}{
		{model.Ref{Kind: model.KindListener, ID: "l1"}, model.ProvisioningPendingDelete},
		{model.Ref{Kind: model.KindListener, ID: "gone"}, ""},
	} {
		if got, err := api.ProvisioningStatus(t.Context(), want.ref, ""); err != nil || got != want.status {
			t.Errorf("%v: %q, error %v, want %q", want.ref, got, err, want.status)
		}
	}
	fake.seen()
	member := model.Ref{Kind: model.KindMember, ID: "m1"}
	_, _ = api.ProvisioningStatus(t.Context(), member, "p1")
	rule := model.Ref{Kind: model.KindL7Rule, ID: "r1"}
	_, _ = api.ProvisioningStatus(t.Context(), rule, "q1")
	if seen := fake.seen(); len(seen) != 2 || seen[0] != "pools/p1/members/m1" || seen[1] != "l7policies/q1/rules/r1" {
		t.Errorf("asked for %q", seen)
	}
	members, err := api.Members(t.Context(), "p1")
	want := map[string]model.ProvisioningStatus{"m1": model.ProvisioningActive, "m2": model.ProvisioningPendingDelete}
	if err != nil || !maps.Equal(members, want) {
		t.Errorf("members: %v, error %v", members, err)
	}
	fake.set(func(f *fakeOctavia) { f.broken = true })
	if status, err := api.ProvisioningStatus(t.Context(), member, "p1"); err == nil {
		t.Errorf("an API that fails is taken for an answer: %q", status)
	}
}
