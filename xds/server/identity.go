package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// role decides what a peer may call.
type role string

// The roles, as the certificates name them: URI SAN octavia-envoy://<role>/<name>.
const (
	roleAmphora  role = "amphora"
	roleOperator role = "operator"
)

const scheme = "octavia-envoy"

// identity is who is at the other end, as its certificate says.
type identity struct {
	role role
	name string
}

type identityKey struct{}

// NodeFromContext returns the id of the amphora that is calling; it is set for every service of this server.
func NodeFromContext(ctx context.Context) (string, bool) {
	who, ok := ctx.Value(identityKey{}).(identity)
	return who.name, ok && who.role == roleAmphora
}

// identityFromURI is the default of Options.Identify: the one URI SAN octavia-envoy://<role>/<name>.
func identityFromURI(cert *x509.Certificate) (who, name string, err error) {
	var found []*url.URL
	for _, uri := range cert.URIs {
		if uri.Scheme == scheme {
			found = append(found, uri)
		}
	}
	if len(found) != 1 {
		return "", "", fmt.Errorf("certificate has %d URI SANs %s://…, want one", len(found), scheme)
	}
	name = strings.TrimPrefix(found[0].Path, "/")
	if name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("certificate has no name in its URI SAN %s://…", scheme)
	}
	return found[0].Host, name, nil
}

// identify reads the verified certificate of the peer.
func (s *Server) identify(ctx context.Context) (identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return identity{}, errors.New("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return identity{}, errors.New("no verified client certificate")
	}
	who, name, err := s.identifyPeer(info.State.VerifiedChains[0][0])
	if err != nil {
		return identity{}, err
	}
	if name == "" {
		return identity{}, errors.New("certificate has no name")
	}
	return identity{role: role(who), name: name}, nil
}
