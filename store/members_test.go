package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func TestMemberStatuses(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree, _ := published(t, s)
		want := func(counts map[model.OperatingStatus]int) {
			t.Helper()
			got, err := s.MemberStatuses(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(map[string]map[model.OperatingStatus]int{tree.ID: counts}, got); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		}
		tell := func(status model.OperatingStatus, provisioning model.ProvisioningStatus, members ...string) {
			t.Helper()
			update := model.StatusUpdate{LoadBalancers: []model.ObjectStatus{{ID: tree.ID, OperatingStatus: model.OperatingOnline}}}
			for _, id := range members {
				update.Members = append(update.Members, model.ObjectStatus{ID: id, OperatingStatus: status, ProvisioningStatus: provisioning})
			}
			finish(t, s, store.Finish{LoadBalancerID: tree.ID, Status: update})
		}
		one, two := newID(), newID()
		tell(model.OperatingOnline, "", one, two)
		want(map[model.OperatingStatus]int{model.OperatingOnline: 2})
		tell(model.OperatingError, "", one)
		want(map[model.OperatingStatus]int{model.OperatingOnline: 1, model.OperatingError: 1})
		tell("", model.ProvisioningDeleted, two)
		want(map[model.OperatingStatus]int{model.OperatingError: 1})
	})
}
