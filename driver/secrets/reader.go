package secrets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/containers"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/secrets"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// maxPayload is above what Barbican stores (64 KiB by default), in bytes.
const maxPayload = 1 << 20

// Reader reads Barbican as the service user.
type Reader struct {
	connect func(ctx context.Context) (*gophercloud.ServiceClient, error)
}

// NewReader makes a Reader and asks nothing. connect returns the key-manager's client, for each use:
// openstack.Client.KeyManager.
func NewReader(connect func(ctx context.Context) (*gophercloud.ServiceClient, error)) *Reader {
	return &Reader{connect: connect}
}

// Certificate reads a certificate with its key: a secret that is a PKCS#12 bundle without password, or a container of type
// certificate. The error is a sentence for the user, and holds nothing of what was read.
func (r *Reader) Certificate(ctx context.Context, ref string) (*model.TLSContainer, error) {
	kind, id, err := split(ref)
	if err != nil {
		return nil, err
	}
	if kind == kindContainer {
		return r.container(ctx, ref, id)
	}
	bundle, err := r.payload(ctx, ref, id)
	if err != nil {
		return nil, err
	}
	container, err := fromPKCS12(bundle)
	if err != nil {
		return nil, fmt.Errorf("the secret %s: %w", ref, err)
	}
	return container, nil
}

// PEM reads a bundle of certificates or a revocation list. The error is a sentence for the user.
func (r *Reader) PEM(ctx context.Context, ref string) (model.PEM, error) {
	kind, id, err := split(ref)
	if err != nil {
		return "", err
	}
	if kind == kindContainer {
		return "", fmt.Errorf("%.256s is a container: a bundle in PEM is a secret", ref)
	}
	payload, err := r.payload(ctx, ref, id)
	return model.PEM(payload), err
}

const (
	kindSecret    = "secrets"
	kindContainer = "containers"
)

// split takes the kind and id out of a reference. Nothing else of it is used: its host would be where a tenant likes.
func split(ref string) (kind, id string, err error) {
	parsed, err := url.Parse(ref)
	if err != nil {
		return "", "", fmt.Errorf("%.256q is no reference to a secret of Barbican", ref)
	}
	folder, id := path.Split(strings.TrimSuffix(parsed.Path, "/"))
	kind = path.Base(folder)
	if _, err := uuid.Parse(id); err != nil || kind != kindSecret && kind != kindContainer {
		return "", "", fmt.Errorf("%.256q is no reference to a secret or container of Barbican", ref)
	}
	return kind, id, nil
}

func (r *Reader) payload(ctx context.Context, ref, id string) ([]byte, error) {
	client, err := r.connect(ctx)
	if err != nil {
		return nil, unavailable("secret", ref, err) // whatever Keystone says is not about the secret
	}
	secret, err := secrets.Get(ctx, client, id).Extract()
	if err != nil {
		return nil, explain("secret", ref, err)
	}
	kind := secret.ContentTypes["default"]
	if kind == "" {
		return nil, fmt.Errorf("the secret %s is empty", ref)
	}
	// Barbican gives texts as text/plain and everything else as bytes, whatever it calls them.
	if media, _, _ := strings.Cut(kind, ";"); strings.TrimSpace(media) != "text/plain" {
		kind = "application/octet-stream"
	}
	result := secrets.GetPayload(ctx, client, id, secrets.GetPayloadOpts{PayloadContentType: kind})
	if result.Err != nil {
		return nil, explain("secret", ref, result.Err)
	}
	defer result.Body.Close()
	payload, err := io.ReadAll(io.LimitReader(result.Body, maxPayload))
	if err != nil {
		return nil, explain("secret", ref, err)
	}
	return payload, nil
}

func (r *Reader) container(ctx context.Context, ref, id string) (*model.TLSContainer, error) {
	client, err := r.connect(ctx)
	if err != nil {
		return nil, unavailable("container", ref, err) // whatever Keystone says is not about the container
	}
	container, err := containers.Get(ctx, client, id).Extract()
	if err != nil {
		return nil, explain("container", ref, err)
	}
	parts := map[string][]byte{}
	for _, part := range container.SecretRefs {
		kind, id, err := split(part.SecretRef)
		if err != nil || kind != kindSecret {
			return nil, fmt.Errorf("the container %s refers to something that is no secret", ref)
		}
		if parts[part.Name], err = r.payload(ctx, part.SecretRef, id); err != nil {
			return nil, err
		}
	}
	for _, needed := range []string{"certificate", "private_key"} {
		if len(parts[needed]) == 0 {
			return nil, fmt.Errorf("the container %s has no %s: it has to be of type certificate", ref, needed)
		}
	}
	made, err := fromParts(parts["certificate"], parts["private_key"], parts["intermediates"], parts["private_key_passphrase"])
	if err != nil {
		return nil, fmt.Errorf("the container %s: %w", ref, err)
	}
	return made, nil
}

// ErrUnavailable says that Barbican gave no answer about a reference: it may be as good as before.
var ErrUnavailable = errors.New("Barbican does not answer") //nolint:staticcheck // a name

// explain says what is wrong in words that help.
func explain(what, ref string, err error) error {
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return fmt.Errorf("the %s %s does not exist in Barbican", what, ref)
	case gophercloud.ResponseCodeIs(err, http.StatusForbidden), gophercloud.ResponseCodeIs(err, http.StatusUnauthorized):
		return fmt.Errorf("the load balancer service may not read the %s %s: let its user read it (openstack acl user add)", what, ref)
	case gophercloud.ResponseCodeIs(err, http.StatusNotAcceptable):
		return fmt.Errorf("the %s %s is not stored as text or bytes", what, ref)
	}
	return unavailable(what, ref, err)
}

func unavailable(what, ref string, err error) error {
	return fmt.Errorf("the %s %s cannot be read now: %w: %w", what, ref, ErrUnavailable, err)
}
