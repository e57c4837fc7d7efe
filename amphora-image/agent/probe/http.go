package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxHeader bounds what is read of an answer, in bytes; HAProxy's buffer is as large (tune.bufsize).
const maxHeader = 16 << 10

// httpCheck is a request that Envoy's checker cannot make: HTTP/1.0, and CONNECT.
type httpCheck struct {
	method, path, version, host string
	codes                       codes
	tls                         bool
	// proxy is the version of the PROXY protocol; 0 is none.
	proxy int
}

func parseHTTP(query url.Values) (httpCheck, error) {
	check := httpCheck{
		method: query.Get("method"), path: query.Get("path"), version: query.Get("version"), host: query.Get("host"),
		tls: query.Get("tls") == "1",
	}
	var problems []error
	if check.method == "" || strings.Trim(check.method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		problems = append(problems, fmt.Errorf("method: %q is none", check.method))
	}
	if !strings.HasPrefix(check.path, "/") || !visible(check.path) {
		problems = append(problems, fmt.Errorf("path: %q is none", check.path))
	}
	if !visible(check.host) {
		problems = append(problems, fmt.Errorf("host: %q is none", check.host))
	}
	if check.version != "1.0" && check.version != "1.1" {
		problems = append(problems, fmt.Errorf("version: want 1.0 or 1.1, not %q", check.version))
	}
	switch query.Get("proxy") {
	case "", "0":
	case "1":
		check.proxy = 1
	case "2":
		check.proxy = 2
	default:
		problems = append(problems, fmt.Errorf("proxy: want 1 or 2, not %q", query.Get("proxy")))
	}
	if value := query.Get("tls"); value != "" && value != "0" && value != "1" {
		problems = append(problems, fmt.Errorf("tls: want 0 or 1, not %q", value))
	}
	var err error
	check.codes, err = parseCodes(query.Get("codes"))
	return check, errors.Join(append(problems, err)...)
}

// visible says that a text can stand in a request without becoming more than one line or word of it.
func visible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// text is the request as HAProxy 2.6 sends it for `option httpchk METHOD PATH HTTP/1.0`.
func (h *httpCheck) text() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/%s\r\n", h.method, h.path, h.version)
	if h.host != "" {
		fmt.Fprintf(&text, "host: %s\r\n", h.host)
	}
	if !slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete}, h.method) {
		text.WriteString("content-length: 0\r\n")
	}
	text.WriteString("\r\n")
	return text.String()
}

// run makes the request; nil is up.
func (h *httpCheck) run(ctx context.Context, target netip.AddrPort) error {
	connection, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", target.String())
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	// Also against who sends a byte now and then: the deadline is one for all of it.
	defer context.AfterFunc(ctx, func() { _ = connection.SetDeadline(time.Unix(1, 0)) })()
	if _, err := connection.Write(h.proxyHeader(connection)); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if h.tls {
		secured := tls.Client(connection, anyTLS())
		if err := secured.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
		connection = secured
	}
	if _, err := io.WriteString(connection, h.text()); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	limited := &io.LimitedReader{R: connection, N: maxHeader}
	response, err := http.ReadResponse(bufio.NewReader(limited), &http.Request{Method: h.method})
	switch {
	case err != nil && limited.N <= 0:
		return fmt.Errorf("the header of the answer is longer than %d bytes", maxHeader)
	case err != nil:
		return fmt.Errorf("answer: %w", err)
	case !h.codes.has(response.StatusCode): // the body is not read, nor waited for
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}

// proxyHeader is what HAProxy's checks begin with when send-proxy is on: version 1 of the connection itself, version 2 LOCAL.
func (h *httpCheck) proxyHeader(connection net.Conn) []byte {
	switch h.proxy {
	case 1:
		own, errOwn := netip.ParseAddrPort(connection.LocalAddr().String())
		other, errOther := netip.ParseAddrPort(connection.RemoteAddr().String())
		if errOwn != nil || errOther != nil {
			return []byte("PROXY UNKNOWN\r\n")
		}
		family := "TCP4"
		if other.Addr().Unmap().Is6() {
			family = "TCP6"
		}
		return fmt.Appendf(nil, "PROXY %s %s %s %d %d\r\n",
			family, own.Addr().Unmap(), other.Addr().Unmap(), own.Port(), other.Port())
	case 2:
		return []byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	}
	return nil
}

// anyTLS takes every server, as `check-ssl verify none`: nothing secret is sent, and whether a certificate is good is for
// the traffic to judge.
func anyTLS() *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // see above
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		config.CipherSuites = append(config.CipherSuites, suite.ID)
	}
	return config
}
