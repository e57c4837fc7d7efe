package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

// No private key and no passphrase reaches any table but encrypted.
func TestNothingPrivateIsStored(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		const mark = "MARKED-PRIVATE"
		container := model.TLSContainer{
			ID: "0123abcd", Certificate: mark, PrivateKey: mark, Passphrase: mark, Intermediates: []string{mark},
		}
		tree := fullTree()
		tree.Listeners[0].DefaultTLSContainer = &container
		tree.Listeners[0].SNIContainers = []*model.TLSContainer{&container}
		tree.Listeners[0].DefaultTLSContainerRef, tree.Listeners[0].SNIContainerRefs = "https://b/1", []string{"https://b/1"}
		tree.Listeners[0].ClientCATLSContainerRef, tree.Listeners[0].ClientCATLSContainer = "https://b/2", mark
		tree.Pools[0].TLSContainerRef, tree.Pools[0].TLSContainer = "https://b/1", &container
		addIntent(t, s, model.Intent{LoadBalancerID: tree.ID})
		save(t, s, tree, 1)
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, Status: statusOf(tree.ID, model.ProvisioningActive)})
		dump := dumpAll(t, s)
		if !strings.Contains(dump, container.ID) {
			t.Fatal("the dump does not even hold the certificate's id")
		}
		stored, err := s.LoadBalancer(t.Context(), tree.ID)
		if err != nil || stored.Tree.Pools[0].TLSContainer.PrivateKey != mark {
			t.Fatalf("the key is not stored at all: %v", err)
		}
		if strings.Contains(dump, mark) {
			t.Error("a table holds a private key")
		}
	})
}

// dumpAll prints every column of every row of every table.
func dumpAll(t *testing.T, s *store.Store) string {
	t.Helper()
	names := tables(t, s)
	if len(names) < 11 {
		t.Fatalf("only the tables %v", names)
	}
	var dump strings.Builder
	for _, name := range names {
		var rows []map[string]any
		if err := s.DB().Table(name).Find(&rows).Error; err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for column, value := range row {
				if bytes, ok := value.([]byte); ok {
					value = string(bytes)
				}
				fmt.Fprintf(&dump, "%s.%s=%v\n", name, column, value)
			}
		}
	}
	return dump.String()
}
