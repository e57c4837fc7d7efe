package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func tlsTree(key string) *model.LoadBalancer {
	container := func(name string) *model.TLSContainer {
		return &model.TLSContainer{
			ID: "id of " + name, PrimaryCN: name, Certificate: "certificate of " + name, PrivateKey: key + name, Passphrase: "p",
			Intermediates: []string{"intermediate"},
		}
	}
	tree := fullTree()
	l, p := &tree.Listeners[0], &tree.Pools[0]
	l.DefaultTLSContainerRef, l.DefaultTLSContainer = "https://b/default", container("default")
	l.SNIContainerRefs = []string{"https://b/0", "https://b/1"}
	l.SNIContainers = []*model.TLSContainer{container("0"), container("1")}
	l.ClientCATLSContainerRef, l.ClientCATLSContainer = "https://b/ca", "CA"
	l.ClientCRLContainerRef, l.ClientCRLContainer = "https://b/crl", "CRL"
	p.TLSContainerRef, p.TLSContainer = "https://b/client", container("client")
	p.CATLSContainerRef, p.CATLSContainer = "https://b/pool-ca", "POOL CA"
	p.CRLContainerRef, p.CRLContainer = "https://b/pool-crl", "POOL CRL"
	return tree
}

// stored returns the private keys and bundles that a store has for a load balancer, by place.
func stored(t *testing.T, s *store.Store, id string) map[string]string {
	t.Helper()
	lb, err := s.LoadBalancer(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if lb.Tree == nil {
		return nil
	}
	return contents(lb.Tree)
}

func contents(tree *model.LoadBalancer) map[string]string {
	held := map[string]string{}
	for _, secret := range tree.Secrets() {
		if c := secret.Certificate(); c != nil {
			held[secret.Name()] = c.ID + c.PrimaryCN + c.Certificate + c.PrivateKey + c.Passphrase + strings.Join(c.Intermediates, "")
		} else {
			held[secret.Name()] = string(secret.PEM())
		}
	}
	return held
}

func TestSecrets(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree := tlsTree("key")
		save(t, s, tree, 1)
		if diff := cmp.Diff(contents(tree), stored(t, s, tree.ID)); diff != "" {
			t.Fatalf("(-saved +stored):\n%s", diff)
		}
		all, err := s.LoadBalancers(t.Context())
		if err != nil || cmp.Diff(contents(tree), contents(all[0].Tree)) != "" {
			t.Errorf("LoadBalancers has others: %v", err)
		}
		// The tree's JSON is the same, what is behind it is not.
		tree.Pools[0].TLSContainer.PrivateKey = "another key"
		save(t, s, tree, 1)
		if diff := cmp.Diff(contents(tree), stored(t, s, tree.ID)); diff != "" {
			t.Errorf("a key that changed (-saved +stored):\n%s", diff)
		}
		row := sealedRow(t, s, tree.ID)
		save(t, s, tree, 1)
		if diff := cmp.Diff(row, sealedRow(t, s, tree.ID)); diff != "" {
			t.Error("what did not change was written again")
		}
		plain := fullTree()
		plain.ID = tree.ID
		save(t, s, plain, 2)
		if len(sealedRow(t, s, tree.ID)) != 0 {
			t.Error("the keys stay when no listener has them any more")
		}
		save(t, s, tree, 3)
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, Deleted: true})
		if len(sealedRow(t, s, tree.ID)) != 0 {
			t.Error("the keys outlive the load balancer")
		}
	})
}

func sealedRow(t *testing.T, s *store.Store, id string) map[string]any {
	t.Helper()
	row := map[string]any{}
	if err := s.DB().Table("secrets").Where("loadbalancer_id = ?", id).Limit(1).Find(&row).Error; err != nil {
		t.Fatal(err)
	}
	return row
}

func TestRekey(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		first, second := seal.NewLine("first"), seal.NewLine("second")
		open := func(lines ...[]byte) *store.Store {
			var file []byte
			for _, line := range lines {
				file = append(file, line...)
			}
			keys, err := seal.Parse(file)
			if err != nil {
				t.Fatal(err)
			}
			return storetest.OpenWith(t, store.Options{DSN: dsn, Keys: keys})
		}
		trees := []*model.LoadBalancer{tlsTree("a"), tlsTree("b")}
		before := open(first)
		for _, tree := range trees {
			save(t, before, tree, 1)
		}
		if err := open(second).CheckKeys(t.Context()); err == nil || !strings.Contains(err.Error(), `"first"`) {
			t.Errorf("a key that is needed and missing: %v", err)
		}
		both := open(second, first)
		save(t, both, trees[0], 1)
		if id := sealedRow(t, both, trees[0].ID)["key_id"]; id != "second" {
			t.Errorf("saved again, it is sealed with %v", id)
		}
		if n, err := both.Rekey(t.Context()); n != 1 || err != nil {
			t.Errorf("Rekey = %d, %v; want the one that is left", n, err)
		}
		if n, err := both.Rekey(t.Context()); n != 0 || err != nil {
			t.Errorf("Rekey = %d, %v; want nothing to do", n, err)
		}
		after := open(second)
		if err := after.CheckKeys(t.Context()); err != nil {
			t.Error(err)
		}
		for _, tree := range trees {
			if diff := cmp.Diff(contents(tree), stored(t, after, tree.ID)); diff != "" {
				t.Errorf("(-saved +stored):\n%s", diff)
			}
		}
	})
}

// A row that cannot be opened costs its load balancer alone, and its tree is read from Octavia again.
func TestSecretsThatDoNotOpen(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		whole, damaged := tlsTree("whole"), tlsTree("damaged")
		save(t, s, whole, 1)
		save(t, s, damaged, 1)
		foreign := sealedRow(t, s, whole.ID)["sealed"]
		if err := s.DB().Table("secrets").Where("loadbalancer_id = ?", damaged.ID).Update("sealed", foreign).Error; err != nil {
			t.Fatal(err)
		}
		if stored(t, s, damaged.ID) != nil {
			t.Error("another load balancer's keys open")
		}
		lb, err := s.LoadBalancer(t.Context(), damaged.ID)
		if err != nil || !strings.Contains(lb.LastError, "does not open it") || strings.Contains(lb.LastError, "whole") {
			t.Errorf("LastError is %q, %v", lb.LastError, err)
		}
		if len(stored(t, s, whole.ID)) == 0 {
			t.Error("its neighbour has none, either")
		}
		save(t, s, damaged, 1)
		if diff := cmp.Diff(contents(damaged), stored(t, s, damaged.ID)); diff != "" {
			t.Errorf("saved again (-saved +stored):\n%s", diff)
		}
		without := storetest.OpenWith(t, store.Options{DSN: dsn})
		if _, err := without.SaveTree(t.Context(), tlsTree("x")); err == nil || !strings.Contains(err.Error(), "nothing to seal") {
			t.Errorf("a tree with keys, and nothing to seal them: %v", err)
		}
		save(t, without, fullTree(), 1)
	})
}

func TestRefresh(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := storetest.Open(t, dsn)
		tree := fullTree()
		if err := s.Refresh(t.Context(), tree.ID); err != nil {
			t.Errorf("of a load balancer that is gone: %v", err)
		}
		if intents, err := s.Intents(t.Context(), tree.ID); err != nil || len(intents) > 0 {
			t.Errorf("it has intents: %v, %v", intents, err)
		}
		addIntent(t, s, model.Intent{LoadBalancerID: tree.ID})
		finish(t, s, store.Finish{LoadBalancerID: tree.ID, Status: statusOf(tree.ID, model.ProvisioningActive)})
		if err := s.Refresh(t.Context(), tree.ID); err != nil {
			t.Fatal(err)
		}
		intents, err := s.Intents(t.Context(), tree.ID)
		if err != nil || len(intents) != 2 || intents[1].Op != model.OpRefresh {
			t.Errorf("the intents are %v, %v", intents, err)
		}
		outbox, err := s.Outbox(t.Context(), time.Now())
		if err != nil || len(outbox) != 1 {
			t.Fatalf("the outbox is %v, %v", outbox, err)
		}
		// It is no call of Octavia's, and proves nothing of what Octavia has.
		if newer, err := s.HasNewerIntent(t.Context(), outbox[0]); err != nil || newer {
			t.Errorf("HasNewerIntent = %v, %v", newer, err)
		}
	})
}
