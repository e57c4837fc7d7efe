package secrets

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/acls"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/secrets"

	"github.com/octavia-envoy/octavia-envoy/store/seal"
)

// Keys reads the keys that seal the store from a secret, and returns them with the secret's content, a text in the format
// of a key file. The error says what to do, wraps ErrUnavailable when the same may work later, and holds nothing of a key.
func (r *Reader) Keys(ctx context.Context, ref string) (ring *seal.Keyring, file []byte, err error) {
	kind, id, err := split(ref)
	if err != nil || kind != kindSecret {
		return nil, nil, errors.New("it is no reference to a secret of Barbican") // and may be a key itself
	}
	if file, err = r.payload(ctx, ref, id); err != nil {
		return nil, nil, err
	}
	if ring, err = seal.Parse(file); err != nil {
		return nil, nil, fmt.Errorf("the secret %s does not hold keys in the format of store.key_file: %w", ref, err)
	}
	return ring, file, nil
}

// StoreKeys makes a secret of keys in the format of a key file, which only the service user and administrators of its
// project may read, and returns its reference. Payloads cannot be changed: each rotation makes a secret.
func (r *Reader) StoreKeys(ctx context.Context, name string, file []byte) (ref string, err error) {
	if _, err := seal.Parse(file); err != nil {
		return "", err
	}
	client, err := r.connect(ctx)
	if err != nil {
		return "", fmt.Errorf("the keys cannot be stored: %w: %w", ErrUnavailable, err)
	}
	secret, err := secrets.Create(ctx, client, secrets.CreateOpts{
		Name: name, SecretType: secrets.OpaqueSecret, Payload: string(file), PayloadContentType: "text/plain",
	}).Extract()
	if err != nil {
		return "", fmt.Errorf("the keys cannot be stored: %w", withoutBody(err))
	}
	_, id, err := split(secret.SecretRef)
	if err != nil {
		return "", err
	}
	// Else whoever has a role in the service project, which are all services, could read it.
	private := false
	err = acls.SetSecretACL(ctx, client, id, acls.SetOpts{{Type: "read", ProjectAccess: &private}}).Err
	if err != nil {
		err = fmt.Errorf("the keys were stored, and cannot be kept from the others of the project: %w", withoutBody(err))
		if gone := secrets.Delete(context.WithoutCancel(ctx), client, id).Err; gone != nil {
			return "", errors.Join(err, fmt.Errorf("delete the secret %s yourself: %w", secret.SecretRef, withoutBody(gone)))
		}
		return "", err
	}
	// Read it back: a controller that has this reference will not start without it.
	if _, _, err := r.Keys(ctx, secret.SecretRef); err != nil {
		return "", err
	}
	return secret.SecretRef, nil
}

// withoutBody leaves out of an error what Barbican says: it may quote what it was sent.
func withoutBody(err error) error {
	var unexpected gophercloud.ErrUnexpectedResponseCode
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusForbidden):
		return errors.New("the service user has no right to, it needs the role creator or admin")
	case errors.As(err, &unexpected):
		return fmt.Errorf("Barbican answers %d", unexpected.Actual) //nolint:staticcheck // a name
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
