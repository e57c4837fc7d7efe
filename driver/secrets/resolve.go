package secrets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/privatekey"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// Resolver fills in what a tree lacks.
type Resolver struct {
	Reader *Reader
	Logger *slog.Logger
}

// Resolve fills the places of the tree that nothing was read for: from Barbican, and where that fails from the tree that was
// published before, which may be nil. It returns a sentence for each object that does not have what its user asked for,
// whether it goes on with what it had or has nothing.
//
// What is there and Envoy would not take, such as a key that no longer belongs to its certificate, is as if it could not be
// read.
//
// A secret that Barbican refused to give is used further all the same: its user took it away, or its rights, while a listener
// has it, and to break that listener is not what that asks for. It is said in the log.
func (r *Resolver) Resolve(ctx context.Context, tree, known *model.LoadBalancer) map[model.Ref]string {
	before := map[string]model.Secret{}
	if known != nil {
		for _, place := range known.Secrets() {
			before[place.Name()] = place
		}
	}
	reasons := map[model.Ref]string{}
	for _, place := range tree.Secrets() {
		var err error
		if place.Missing() {
			err = r.read(ctx, place)
		}
		if err == nil {
			err = usable(place)
		}
		if err == nil {
			continue
		}
		old, ok := before[place.Name()]
		if ok && !old.Missing() && translate.CheckSecret(old) == nil {
			place.SetCertificate(old.Certificate())
			place.SetPEM(old.PEM())
			if old.URL == place.URL {
				r.Logger.WarnContext(ctx, "a secret cannot be read: going on with what was read before", "lb", tree.ID, "secret", place.Name(), "error", err)
				continue
			}
			err = fmt.Errorf("%w; until then it goes on with %s", err, old.URL)
		}
		if errors.Is(err, ErrUnavailable) {
			err = fmt.Errorf("%w; it is tried again", err)
		}
		reasons[place.Owner] = err.Error()
	}
	return reasons
}

// usable says why what a place holds cannot be served. An encrypted key that was handed over is opened for good: nothing
// else has to be given its passphrase, or time to use it.
func usable(place model.Secret) error {
	err := open(place)
	if err == nil {
		err = translate.CheckSecret(place)
	}
	if err != nil {
		return fmt.Errorf("what %s refers to cannot be used: %w", place.URL, err)
	}
	return nil
}

func open(place model.Secret) error {
	locked := place.Certificate()
	if locked == nil || !privatekey.Encrypted(locked.PrivateKey) {
		return nil
	}
	key, err := privatekey.Clear(locked.PrivateKey, locked.Passphrase)
	if err != nil {
		return err
	}
	opened := *locked
	opened.PrivateKey, opened.Passphrase = key, ""
	place.SetCertificate(&opened)
	return nil
}

func (r *Resolver) read(ctx context.Context, place model.Secret) error {
	if place.IsCertificate() {
		certificate, err := r.Reader.Certificate(ctx, place.URL)
		if err == nil {
			place.SetCertificate(certificate)
		}
		return err
	}
	bundle, err := r.Reader.PEM(ctx, place.URL)
	if err == nil {
		place.SetPEM(bundle)
	}
	return err
}
