package probe

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The checks, named for the types of Octavia's health monitors.
const (
	kindPing       = "PING"
	kindUDPConnect = "UDP-CONNECT"
	kindHTTP       = "HTTP"
)

// maxTimeout is longer than any monitor's that makes sense. Octavia's own limit is 2^31-1 s.
const maxTimeout = 24 * time.Hour

// request is one check.
type request struct {
	kind    string
	target  netip.AddrPort
	timeout time.Duration
	// group tells the checks of one pool from those of the next.
	group string
	http  httpCheck
}

// parse reads a check. Its error is for the answer 400: Envoy asks for what the controller has written, so that anything
// odd comes from a mistake, or from somebody else.
func parse(r *http.Request) (*request, error) {
	if r.Method != http.MethodGet {
		return nil, fmt.Errorf("method %s: only GET is known", r.Method)
	}
	check := &request{kind: strings.TrimPrefix(r.URL.Path, "/"), group: r.URL.RequestURI()}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	if check.target, err = parseTarget(r.Host); err != nil {
		return nil, err
	}
	milliseconds, err := strconv.ParseInt(query.Get("timeout_ms"), 10, 64)
	if err != nil || milliseconds < 1 {
		return nil, fmt.Errorf("timeout_ms: want a positive number of milliseconds, not %q", query.Get("timeout_ms"))
	}
	check.timeout = time.Duration(min(milliseconds, maxTimeout.Milliseconds())) * time.Millisecond
	switch check.kind {
	case kindPing, kindUDPConnect:
		return check, nil
	case kindHTTP:
		check.http, err = parseHTTP(query)
		return check, err
	default:
		return nil, fmt.Errorf("path %q: no such check", r.URL.Path)
	}
}

// parseTarget takes literal addresses only: what is checked is what the controller has written, never what a name server
// says.
func parseTarget(host string) (netip.AddrPort, error) {
	target, err := netip.ParseAddrPort(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("host %q: want an IP address and a port", host)
	}
	address := target.Addr().Unmap()
	switch {
	case address.Zone() != "":
		err = errors.New("has a zone")
	case address.IsUnspecified(), address.IsMulticast(), address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		err = errors.New("is nobody's own address")
	case target.Port() == 0:
		err = errors.New("has port 0")
	}
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("host %q %w", host, err)
	}
	return netip.AddrPortFrom(address, target.Port()), nil
}
