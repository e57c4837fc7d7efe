package translate

import (
	"errors"
	"fmt"
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// canonicalAddress returns an IPv4 or IPv6 address in its one canonical spelling.
func canonicalAddress(text string) (string, error) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return "", fmt.Errorf("%.64q is not an IP address", text)
	}
	if address.Zone() != "" {
		return "", errors.New("an address cannot have a zone")
	}
	return address.String(), nil
}

func checkPort(port int) error {
	if port < 1 || port > 65535 {
		return fmt.Errorf("%d is not a port: 1 to 65535", port)
	}
	return nil
}

func socketAddress(address string, port int) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       address,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}, //nolint:gosec // checkPort
	}}}
}
