package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// ServerCertificate is the controller's own certificate. It lives in memory only and renews itself when a third of its life
// is left. It is safe for concurrent use.
type ServerCertificate struct {
	authority *Authority
	dnsNames  []string
	ips       []net.IP

	mu      sync.Mutex
	current *tls.Certificate
}

// ServerCertificate returns the controller's certificate for ServerName, more DNS names, and addresses.
func (a *Authority) ServerCertificate(dnsNames []string, ips []net.IP) *ServerCertificate {
	names := []string{ServerName}
	for _, name := range dnsNames {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return &ServerCertificate{authority: a, dnsNames: names, ips: ips}
}

// Get returns a certificate that is valid now. It fits tls.Config.GetCertificate.
func (s *ServerCertificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && !Due(s.current.Leaf, s.authority.now()) {
		return s.current, nil
	}
	key, der, err := s.authority.issueServer(s.dnsNames, s.ips)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse the controller's certificate: %w", err)
	}
	s.current = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return s.current, nil
}

// ServerTLS returns the configuration of the controller's listeners: TLS 1.3, and a client certificate of this authority
// from everybody. dnsNames and ips are named in the certificate besides ServerName.
func (a *Authority) ServerTLS(dnsNames []string, ips []net.IP) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      a.pool,
		GetCertificate: a.ServerCertificate(dnsNames, ips).Get,
		Time:           a.now,
		// A resumed session would skip the look at the client's certificate, which may have expired since.
		SessionTicketsDisabled: true,
	}
}

// Due reports whether two thirds of a certificate's life are over: time to renew it.
func Due(certificate *x509.Certificate, now time.Time) bool {
	// NotBefore lies clockSkew before the issue; short lives, as in tests, would be due at once if it counted.
	issued := certificate.NotBefore.Add(clockSkew)
	life := certificate.NotAfter.Sub(issued)
	return !now.Before(issued.Add(life * 2 / 3))
}
