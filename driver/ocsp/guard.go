package ocsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// Guard is where requests to responders may go. The zero value lets them go to public addresses only: neither a tenant's
// certificate nor a redirect of its responder reaches what only the controller can.
type Guard struct {
	// Allowed are networks that are not public and may be reached all the same, for instance a company's own responder.
	Allowed []netip.Prefix
	// Proxy, if not nil, makes all requests. It then has to keep them from where they must not go.
	Proxy *url.URL
}

const (
	connectTimeout = 5 * time.Second
	requestTimeout = 15 * time.Second
	maxRedirects   = 3
)

// errNotAllowed says that a responder is where requests may not go.
var errNotAllowed = errors.New("the responder's address is not public: see ocsp.allowed_networks")

// Client returns an HTTP client that goes nowhere else. The address is checked when it is connected to, after the name was
// resolved: a name that changes between a check and the connection gains nothing.
func (g Guard) Client() *http.Client {
	guarded := &net.Dialer{Timeout: connectTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		place, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %s", errNotAllowed, address)
		}
		return g.check(place.Addr())
	}}
	transport := &http.Transport{
		DialContext: guarded.DialContext, TLSHandshakeTimeout: connectTimeout, ResponseHeaderTimeout: requestTimeout,
		MaxResponseHeaderBytes: maxResponse, DisableKeepAlives: true,
	}
	if g.Proxy != nil {
		transport.Proxy = http.ProxyURL(g.Proxy)
		transport.DialContext = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	return &http.Client{
		Transport: transport, Timeout: requestTimeout,
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("the responder redirects too often")
			}
			return g.literal(request.Context(), request.URL)
		},
	}
}

// literal refuses URLs whose host is an address that may not be reached, also for a proxy, which is asked for no others.
func (g Guard) literal(_ context.Context, target *url.URL) error {
	if target.Scheme != "http" && target.Scheme != "https" {
		return fmt.Errorf("%w: the scheme is %.16q", errNotAllowed, target.Scheme)
	}
	if address, err := netip.ParseAddr(target.Hostname()); err == nil {
		return g.check(address)
	}
	return nil
}

func (g Guard) check(address netip.Addr) error {
	address = address.Unmap().WithZone("")
	for _, allowed := range g.Allowed {
		if allowed.Contains(address) {
			return nil
		}
	}
	if !address.IsGlobalUnicast() || address.IsPrivate() {
		return fmt.Errorf("%w: %s", errNotAllowed, address)
	}
	for _, special := range notPublic() {
		if special.Contains(address) {
			return fmt.Errorf("%w: %s", errNotAllowed, address)
		}
	}
	return nil
}

// notPublic are the networks of the special-purpose registries (RFC 6890) that net/netip does not know about.
func notPublic() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.64.0.0/10"),   // shared address space, RFC 6598
		netip.MustParsePrefix("192.0.0.0/24"),    // IETF protocol assignments
		netip.MustParsePrefix("192.0.2.0/24"),    // documentation
		netip.MustParsePrefix("198.18.0.0/15"),   // benchmarking
		netip.MustParsePrefix("198.51.100.0/24"), // documentation
		netip.MustParsePrefix("203.0.113.0/24"),  // documentation
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("64:ff9b::/96"), // NAT64: an IPv4 address in disguise
		netip.MustParsePrefix("64:ff9b:1::/48"),
		netip.MustParsePrefix("2001::/23"),
		netip.MustParsePrefix("2001:db8::/32"), // documentation
		netip.MustParsePrefix("2002::/16"),     // 6to4, the same
		netip.MustParsePrefix("100::/64"),      // discard
		netip.MustParsePrefix("fec0::/10"),     // site-local
	}
}
