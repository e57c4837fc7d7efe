package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Role is what a certificate's holder may be to the controller.
type Role string

// The roles that the authority issues client certificates for.
const (
	// RoleAmphora is Envoy and its agent; the name is the amphora's id and the xDS node id.
	RoleAmphora Role = "amphora"
	// RoleOperator is a person or tool that uses the operator API.
	RoleOperator Role = "operator"
	// RoleAPI is the provider shim inside octavia-api.
	RoleAPI Role = "api"
)

const scheme = "octavia-envoy"

// ServerName is the DNS name in the controller's server certificate. Clients verify it whatever address they dial, so
// that a controller can move or sit behind a unix socket.
const ServerName = "controller.octavia-envoy"

// ErrNoIdentity says that a certificate does not tell who its holder is.
var ErrNoIdentity = errors.New("certificate holds no octavia-envoy identity")

// A name becomes a path segment of a URI, a file name and a log value: nothing in it may need escaping.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func identityURI(role Role, name string) (*url.URL, error) {
	if !validName.MatchString(name) {
		return nil, fmt.Errorf("%q cannot be a name in a certificate: want letters, digits, '.', '_', '-', at most 64", name)
	}
	return &url.URL{Scheme: scheme, Host: string(role), Path: "/" + name}, nil
}

// Identity returns the role and name in a certificate that was verified already. A certificate with several identities, or
// with one that is not spelled exactly as the authority spells it, has none: errors.Is(err, ErrNoIdentity).
func Identity(certificate *x509.Certificate) (Role, string, error) {
	var found []*url.URL
	for _, uri := range certificate.URIs {
		if strings.EqualFold(uri.Scheme, scheme) {
			found = append(found, uri)
		}
	}
	if len(found) != 1 {
		return "", "", fmt.Errorf("%w: it has %d URIs of scheme %s, want one", ErrNoIdentity, len(found), scheme)
	}
	role, name := Role(found[0].Host), strings.TrimPrefix(found[0].Path, "/")
	switch role {
	case RoleAmphora, RoleOperator, RoleAPI:
	default:
		return "", "", fmt.Errorf("%w: unknown role in %q", ErrNoIdentity, found[0].Redacted())
	}
	if want, err := identityURI(role, name); err != nil || want.String() != found[0].String() {
		return "", "", fmt.Errorf("%w: bad name in %q", ErrNoIdentity, found[0].Redacted())
	}
	return role, name, nil
}
