package parity

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
)

// tlsClient is what a client of a TERMINATED_HTTPS listener does before its requests.
type tlsClient struct {
	// SNI is the name that it asks for; "" asks for none.
	SNI string `json:"sni,omitempty"`
	// Certificate is the name of its certificate; "" is none.
	Certificate string `json:"certificate,omitempty"`
	// Version is the one version of TLS that it speaks, in Octavia's words; "" is 1.2 or 1.3.
	Version string   `json:"version,omitempty"`
	ALPN    []string `json:"alpn,omitempty"`
	// Ciphers are the cipher suites of TLS 1.2 and below that it offers, in IANA's words; none are Go's defaults.
	Ciphers []string `json:"ciphers,omitempty"`
}

// handshake is what came of it.
type handshake struct {
	// Refused says that the server ended it.
	Refused bool
	Version string
	ALPN    string
	// Certificate is the name of the server's, and Issuers are how many came with it.
	Certificate string
	Issuers     int
}

// refused is what a connection came to on which the server ended the handshake.
const refused = "refused in the TLS handshake"

// stream is a connection, with TLS or not.
type stream interface {
	net.Conn
	CloseWrite() error
}

func (h handshake) String() string {
	if h.Refused {
		return refused
	}
	return fmt.Sprintf("%s, ALPN %q, certificate %s with %d issuers", h.Version, h.ALPN, h.Certificate, h.Issuers)
}

func versions() map[string]uint16 {
	return map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
}

// greet does the handshake on a new connection. asked: the server wants a certificate and may refuse it later on.
func (c *certificates) greet(ctx context.Context, client *tlsClient, connection net.Conn) (encrypted *tls.Conn, result handshake, asked bool, err error) {
	config := &tls.Config{
		ServerName: client.SNI, NextProtos: client.ALPN, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // which certificate it is, is compared
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			if client.Certificate == "" {
				return &tls.Certificate{}, nil
			}
			certificate := c.containers[client.Certificate].TLS()
			return &certificate, nil
		},
	}
	if client.Version != "" {
		config.MinVersion, config.MaxVersion = versions()[client.Version], versions()[client.Version]
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		for _, name := range client.Ciphers {
			if suite.Name == name {
				config.CipherSuites = append(config.CipherSuites, suite.ID)
			}
		}
	}
	encrypted = tls.Client(connection, config)
	if err = encrypted.HandshakeContext(ctx); err != nil {
		return nil, handshake{Refused: true}, asked, err
	}
	state := encrypted.ConnectionState()
	return encrypted, handshake{
		Version: tls.VersionName(state.Version), ALPN: state.NegotiatedProtocol,
		Certificate: c.name(state.PeerCertificates[0]), Issuers: len(state.PeerCertificates) - 1,
	}, asked, nil
}

// encrypt ends with c.connection being encrypted, or says why not.
func (c *conversation) encrypt(ctx context.Context) string {
	c.mayRefuse = false
	if c.TLS == nil {
		return ""
	}
	c.hurry()
	encrypted, result, asked, err := c.certificates.greet(ctx, c.TLS, c.connection)
	c.result.Handshakes = append(c.result.Handshakes, result)
	if err != nil {
		if ending(err) == "timeout" {
			return "timeout in the TLS handshake"
		}
		return refused
	}
	// A server of TLS 1.3 looks at the client's certificate when the client is done with the handshake.
	c.mayRefuse = asked && result.Version == tls.VersionName(tls.VersionTLS13)
	c.connection = encrypted
	return ""
}

// wasRefused takes back a handshake that the server ended when the client was done with it.
func (c *conversation) wasRefused(first *step) bool {
	if !c.mayRefuse || first.Response != nil || len(first.Interim)+len(first.Seen) > 0 || first.End == "timeout" {
		return false
	}
	c.result.Handshakes[len(c.result.Handshakes)-1] = handshake{Refused: true}
	return true
}

// serverTLS ends TLS at a member: it returns the connection within, and what the proxy did.
func (r *recorder) serverTLS(port int, connection net.Conn) (stream, string, error) {
	var offered, server string
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			offered, server = strings.Join(hello.SupportedProtos, ","), hello.ServerName
			return nil, nil
		},
		Certificates: []tls.Certificate{r.certificates.members[port]},
	}
	encrypted := tls.Server(connection, config)
	if err := encrypted.Handshake(); err != nil {
		return nil, "", err
	}
	state, shown := encrypted.ConnectionState(), "no certificate"
	if len(state.PeerCertificates) > 0 {
		shown = r.certificates.name(state.PeerCertificates[0])
	}
	return encrypted, fmt.Sprintf("%s, server %q, ALPN %q, %s", tls.VersionName(state.Version), server, offered, shown), nil
}

// buffered is a connection some of which has been read.
type buffered struct {
	stream
	reader *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.reader.Read(p) }
