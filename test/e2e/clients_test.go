package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// patience is how long an answer to a client may take: a deadline, not a measurement.
const patience = 30 * time.Second

// dial connects as a client at one of the addresses of the lab's client, the first for "".
func (c *cloud) dial(ctx context.Context, from, network, address string) (net.Conn, error) {
	var local net.Addr
	if from != "" {
		source, err := netip.ParseAddr(from)
		if err != nil {
			return nil, err
		}
		if local = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0)); network == "udp" {
			local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
		}
	}
	return dialFrom(ctx, c.env["OE_CLIENT_NETNS"], local, network, address)
}

// mustDial connects; the test's end closes the connection.
func (c *cloud) mustDial(t *testing.T, from, network, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	connection, err := c.dial(ctx, from, network, address)
	if err != nil {
		t.Fatalf("connect to %s: %v", address, err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// addresses are those of the lab's client; with SOURCE_IP each is a client.
func (c *cloud) addresses() []string { return strings.Split(c.env["OE_CLIENT_ADDRESSES"], ",") }

// seen is a request as a member of the lab saw it.
type seen struct {
	Name     string      `json:"name"`
	Host     string      `json:"host"`
	Protocol string      `json:"protocol"`
	Headers  http.Header `json:"headers"`
	Remote   string      `json:"remote"`
	Proxy    *struct {
		Version             int
		Source, Destination string
	} `json:"proxy"`
	TLS *struct {
		ServerName string `json:"server_name"`
		ALPN       string `json:"alpn"`
	} `json:"tls"`
}

// ask sends a request and returns the answer and its body.
func (c *cloud) ask(t *testing.T, client *http.Client, url string, change ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	response, body, err := tryAsk(t, client, url, change...)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return response, body
}

func tryAsk(t *testing.T, client *http.Client, url string, change ...func(*http.Request)) (*http.Response, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(request)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// asSeen asks a member what it sees of a request.
func (c *cloud) asSeen(t *testing.T, client *http.Client, base string, change ...func(*http.Request)) seen {
	t.Helper()
	response, body := c.ask(t, client, base+"/request", change...)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s: %s", base, response.Status, body)
	}
	return decodeSeen(t, body)
}

func decodeSeen(t *testing.T, body string) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	return s
}

// header sets a header of a request.
func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// answers waits until all of a few requests in a row, each over a connection of its own, are answered like this: Envoy's
// workers take a change one by one, so that the first answer does not yet speak for all.
func (c *cloud) answers(t *testing.T, address, path, want string, change ...func(*http.Request)) {
	t.Helper()
	client := c.client(t)
	eventually(t, settleTime, func() error {
		for range 6 {
			response, _, err := tryAsk(t, client, "http://"+address+path, change...)
			if err != nil {
				if want == "refused" {
					continue
				}
				return err
			}
			got := fmt.Sprint(response.StatusCode, " ", response.Header.Get("Server-Name"))
			if location := response.Header.Get("Location"); location != "" {
				got = location
			}
			if strings.TrimSpace(got) != want {
				return fmt.Errorf("%s%s answers %q, not %q", address, path, got, want)
			}
		}
		return nil
	})
}
