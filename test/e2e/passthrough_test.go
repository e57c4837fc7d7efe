package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestProxyProtocol has members that are told by PROXY protocol 1 and 2 who their client is.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-proxy", nil, nil)
	s.cli(t, "loadbalancer listener create --name e2e-proxy-1 --protocol TCP --protocol-port 81 [lb]")
	s.cli(t, "loadbalancer pool create --name e2e-proxy-1 --protocol PROXY --lb-algorithm ROUND_ROBIN --listener e2e-proxy-1")
	s.cli(t, "loadbalancer member create --address "+c.env["OE_MEMBER1_ADDRESS"]+" --protocol-port 8081 e2e-proxy-1")
	s.cli(t, "loadbalancer listener create --name e2e-proxy-2 --protocol HTTP --protocol-port 82 [lb]")
	s.cli(t, "loadbalancer pool create --name e2e-proxy-2 --protocol PROXYV2 --lb-algorithm ROUND_ROBIN --listener e2e-proxy-2")
	s.cli(t, "loadbalancer member create --address "+c.env["OE_MEMBER2_ADDRESS"]+" --protocol-port 8081 e2e-proxy-2")
	s.allActive(t)
	for port, version := range map[int]int{81: 1, 82: 2} {
		for _, address := range c.addresses()[:3] {
			client, local := c.clientAt(t, address)
			saw := c.asSeen(t, client, "http://"+s.at(port))
			if saw.Name != fmt.Sprintf("member%d", version) || saw.Proxy == nil {
				t.Errorf("port %d: answered by %s, told %v", port, saw.Name, saw.Proxy)
				continue
			}
			got := fmt.Sprintf("%d %s to %s", saw.Proxy.Version, saw.Proxy.Source, saw.Proxy.Destination)
			if want := fmt.Sprintf("%d %s to %s", version, local(), s.at(port)); got != want {
				t.Errorf("port %d: the member was told %s, not %s", port, got, want)
			}
		}
	}
}

// clientAt is an HTTP client at one of the client's addresses, and what says its last connection's own end.
func (c *cloud) clientAt(t *testing.T, address string) (client *http.Client, local func() string) {
	t.Helper()
	client, last := c.client(t), ""
	client.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			connection, err := c.dial(ctx, address, network, to)
			if err == nil {
				last = connection.LocalAddr().String()
			}
			return connection, err
		},
	}
	return client, func() string { return last }
}

// TestHTTPSPassThrough has a client and a member speak TLS through the load balancer, which cannot read it.
func TestHTTPSPassThrough(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-https", nil, nil)
	s.cli(t, "loadbalancer listener create --name e2e-https --protocol HTTPS --protocol-port 443 [lb]")
	s.cli(t, "loadbalancer pool create --name e2e-https --protocol HTTPS --lb-algorithm ROUND_ROBIN --listener e2e-https")
	for _, member := range []string{"MEMBER1", "MEMBER2"} {
		s.cli(t, "loadbalancer member create --address "+c.env["OE_"+member+"_ADDRESS"]+" --protocol-port 443 e2e-https")
	}
	s.allActive(t)
	answered := map[string]int{}
	for i := range 8 {
		name, protocol := fmt.Sprintf("www%d.example.com", i), []string{"h2", "http/1.1"}[i%2]
		client := c.client(t)
		transport := client.Transport.(*http.Transport)
		transport.ForceAttemptHTTP2 = protocol == "h2"
		transport.TLSClientConfig = &tls.Config{
			ServerName: name, NextProtos: []string{protocol},
			InsecureSkipVerify: true, // the member's certificate is its own; whose it is, is looked at below
		}
		response, _ := c.ask(t, client, "https://"+s.at(443)+"/")
		saw := c.asSeen(t, client, "https://"+s.at(443))
		answered[saw.Name]++
		if saw.TLS == nil || saw.TLS.ServerName != name || saw.TLS.ALPN != protocol {
			t.Errorf("the member saw %+v, not %s and %s", saw.TLS, name, protocol)
		}
		if subject, member := response.TLS.PeerCertificates[0].Subject.CommonName, response.Header.Get("Server-Name"); subject != member {
			t.Errorf("the certificate is %s's, the answer is %s's", subject, member)
		}
	}
	if answered["member1"] == 0 || answered["member2"] == 0 {
		t.Errorf("the members answered %v", answered)
	}
}

// greet reads the line by which the lab's TCP server begins.
func greet(t *testing.T, connection net.Conn) string {
	t.Helper()
	_ = connection.SetReadDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		t.Fatalf("no greeting: %v", err)
	}
	return strings.TrimSpace(line)
}
