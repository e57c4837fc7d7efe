package store_test

import (
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// What one accepted call costs on the embedded database.
func BenchmarkAddIntent(b *testing.B) {
	s := storetest.Open(b, storetest.SQLite(b))
	for b.Loop() {
		if _, err := s.AddIntent(b.Context(), model.Intent{LoadBalancerID: newID()}, store.Audit{}); err != nil {
			b.Fatal(err)
		}
	}
}

// What one changed member of 10,000 costs on the embedded database.
func BenchmarkSaveBigTree(b *testing.B) {
	s := storetest.Open(b, storetest.SQLite(b))
	tree := bigTree(newID(), 10_000)
	for b.Loop() {
		tree.Pools[0].Members[0].Weight++
		if _, err := s.SaveTree(b.Context(), tree); err != nil {
			b.Fatal(err)
		}
	}
}
