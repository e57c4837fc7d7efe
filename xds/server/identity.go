package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// The URI SANs by which a certificate says whose it is.
const (
	amphoraURI  = "octavia-envoy://amphora/"
	operatorURI = "octavia-envoy://operator/"
)

// role decides what a peer may call.
type role int

const (
	roleAmphora role = iota + 1
	roleOperator
)

func (r role) String() string {
	if r == roleOperator {
		return "operator"
	}
	return "amphora"
}

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

// AmphoraFromURI is the default of Options.Identify: the amphora's id from the URI SAN octavia-envoy://amphora/<id>.
func AmphoraFromURI(cert *x509.Certificate) (string, error) {
	return fromURI(cert, amphoraURI)
}

func fromURI(cert *x509.Certificate, prefix string) (string, error) {
	found := ""
	for _, uri := range cert.URIs {
		name, ok := strings.CutPrefix(uri.String(), prefix)
		if !ok || name == "" {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("certificate has several URI SANs %s…", prefix)
		}
		found = name
	}
	if found == "" {
		return "", fmt.Errorf("certificate has no URI SAN %s<id>", prefix)
	}
	return found, nil
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
	cert := info.State.VerifiedChains[0][0]
	if name, err := fromURI(cert, operatorURI); err == nil {
		return identity{role: roleOperator, name: name}, nil
	}
	name, err := s.identifyNode(cert)
	if err != nil {
		return identity{}, err
	}
	if name == "" {
		return identity{}, errors.New("certificate names no amphora")
	}
	return identity{role: roleAmphora, name: name}, nil
}
