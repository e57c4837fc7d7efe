package reconcile

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// vault is a certificate manager that can be closed, and what staples to its certificates.
type vault struct {
	mu        sync.Mutex
	closed    bool
	fallbacks int
	forgotten []string
	tree      func() *model.LoadBalancer
	give      *model.TLSContainer
}

func (v *vault) Tree(context.Context, string) (*model.LoadBalancer, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fallbacks++
	return v.tree(), nil
}

func (v *vault) Resolve(_ context.Context, tree, _ *model.LoadBalancer) map[model.Ref]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	unread := map[model.Ref]string{}
	for _, place := range tree.Secrets() {
		if v.closed {
			unread[place.Owner] = "Barbican does not answer"
			continue
		}
		place.SetCertificate(v.give)
	}
	return unread
}

func (v *vault) Fill(_ context.Context, tree *model.LoadBalancer) {
	for _, place := range tree.Secrets() {
		if certificate := place.Certificate(); certificate != nil {
			certificate.OCSPResponse = []byte("stapled")
		}
	}
}

func (v *vault) Forget(id string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forgotten = append(v.forgotten, id)
}

// TestSecretThatCannotBeRead puts its listener into ERROR, nobody else, and heals by itself, with one message to Octavia
// for each of the two.
func TestSecretThatCannotBeRead(t *testing.T) {
	v := &vault{closed: true, give: pki.New(t, "CA").Issue(pki.Options{Names: []string{"x"}}).Container()}
	v.tree = func() *model.LoadBalancer {
		lb := tree()
		lb.Listeners[0].Protocol, lb.Listeners[0].DefaultTLSContainerRef = model.ProtocolTerminatedHTTPS, "https://barbican/1"
		return lb
	}
	w := start(t, func(o *Options) { o.Trees, o.Secrets, o.Staples = v, v, v })
	w.set(func() { w.tree, w.unread = tree(), true })
	w.intend(t, model.OpCreate, lbRef)
	update := w.next(t)
	if provisioning(update.Listeners) != model.ProvisioningError || provisioning(update.Pools) != model.ProvisioningActive ||
		provisioning(update.LoadBalancers) != model.ProvisioningActive {
		t.Fatalf("Octavia is told %+v", update)
	}
	known, err := w.store.LoadBalancer(t.Context(), lbID)
	if err != nil || known.RetryAt == nil {
		t.Fatalf("it is not tried again: %+v, %v", known, err)
	}
	tries := func() int {
		v.mu.Lock()
		defer v.mu.Unlock()
		return v.fallbacks
	}
	before := tries()
	testkit.Until(t, "more tries", func() bool { return tries() > before+1 })
	if messages, err := w.store.Outbox(t.Context(), time.Now()); err != nil || len(messages) > 0 {
		t.Errorf("each try tells Octavia again: %v, %v", messages, err)
	}
	v.mu.Lock()
	v.closed = false
	v.mu.Unlock()
	update = w.next(t)
	if provisioning(update.Listeners) != model.ProvisioningActive || len(update.Pools) > 0 {
		t.Errorf("healed, Octavia is told %+v", update)
	}
	w.mu.Lock()
	last := w.published[len(w.published)-1]
	w.mu.Unlock()
	secret := last.Secrets[listenerID+"/default"]
	if string(secret.GetTlsCertificate().GetOcspStaple().GetInlineBytes()) != "stapled" {
		t.Error("nothing is stapled to the certificate that is published")
	}
	w.set(func() { w.unread, w.tree = false, v.tree() })
	w.intend(t, model.OpDelete, lbRef)
	w.next(t)
	testkit.Until(t, "the certificates to be forgotten", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return slices.Contains(v.forgotten, lbID)
	})
}
