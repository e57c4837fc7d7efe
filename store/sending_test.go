package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// Of several replicas one sends a load balancer's messages, until it is done, or dead and its time is over. That has nothing to
// do with who works on the load balancer.
func TestSending(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		a, b := storetest.Open(t, dsn), storetest.Open(t, dsn)
		lb := newID()
		sends := func(s *store.Store, owner string, ttl time.Duration) bool {
			t.Helper()
			got, err := s.AcquireSending(t.Context(), lb, owner, ttl)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		for range 2 {
			if !sends(a, "a", time.Hour) {
				t.Fatal("the first owner may not send, or no longer")
			}
		}
		if !acquire(t, b, lb, "b", time.Hour) {
			t.Error("who sends keeps others from working on the load balancer")
		}
		if strings.HasPrefix(dsn, "sqlite:") {
			return // one controller
		}
		if sends(b, "b", time.Hour) {
			t.Error("two send")
		}
		if err := b.ReleaseSending(t.Context(), lb, "b"); err != nil || sends(b, "b", time.Hour) {
			t.Errorf("somebody else gave it back, error %v", err)
		}
		if err := a.ReleaseSending(t.Context(), lb, "a"); err != nil || !sends(b, "b", time.Microsecond) {
			t.Errorf("what was given back is not free, error %v", err)
		}
		if !sends(a, "a", time.Hour) {
			t.Error("what has expired is not free")
		}
	})
}

func TestOutboxNamesTheProject(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		lb := newID()
		if _, err := s.SaveTree(t.Context(), &model.LoadBalancer{ID: lb, ProjectID: "tenant"}); err != nil {
			t.Fatal(err)
		}
		message := writeMessage(t, s, store.Finish{LoadBalancerID: lb})
		if got := outbox(t, s, time.Now()); len(got) != 1 || got[0].ProjectID != "tenant" {
			t.Errorf("the outbox holds %+v", got)
		}
		if err := s.OutboxSent(t.Context(), message.ID); err != nil {
			t.Fatal(err)
		}
		writeMessage(t, s, store.Finish{LoadBalancerID: lb, Deleted: true})
		if got := outbox(t, s, time.Now()); len(got) != 1 || got[0].ProjectID != "" || got[0].LoadBalancerID != lb {
			t.Errorf("the outbox holds %+v", got)
		}
	})
}
