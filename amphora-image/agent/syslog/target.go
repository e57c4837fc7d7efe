package syslog

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// Transport is how messages get to a receiver.
type Transport string

// Transports of a target.
const (
	TCP  Transport = "tcp"
	TLS  Transport = "tls"
	UDP  Transport = "udp"
	Unix Transport = "unix"
)

// Target is a receiver.
type Target struct {
	Transport Transport
	// Address is host:port, or a path for Unix.
	Address string
}

// maxSocketPath is the kernel's limit for the path of a unix socket, in bytes (sun_path, less its end).
const maxSocketPath = 107

// ParseTarget reads tcp:host:port, tls:host:port, udp:host:port or unix:/path.
func ParseTarget(text string) (Target, error) {
	transport, address, _ := strings.Cut(text, ":")
	target := Target{Transport: Transport(transport), Address: address}
	switch target.Transport {
	case Unix:
		if filepath.IsAbs(address) && len(address) <= maxSocketPath {
			return target, nil
		}
	case TCP, TLS, UDP:
		host, service, err := net.SplitHostPort(address)
		port, errPort := strconv.ParseUint(service, 10, 16)
		if err == nil && errPort == nil && port > 0 && host != "" {
			return target, nil
		}
	}
	return Target{}, fmt.Errorf("%.128q is no syslog receiver: write tcp:host:port, tls:host:port, udp:host:port or unix:/path", text)
}

// String returns what ParseTarget reads.
func (t Target) String() string { return string(t.Transport) + ":" + t.Address }

// host is the name that a receiver's certificate has to be for.
func (t Target) host() string {
	host, _, _ := net.SplitHostPort(t.Address)
	return host
}
