package translate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestProxyProtocol is what members of PROXY and PROXYV2 pools read before anything else, behind listeners of each kind.
func TestProxyProtocol(t *testing.T) {
	heads := make(chan string, 100)
	// first reads the header of a connection, which says "<client> <port> <listener> <port>".
	first := func(reader *bufio.Reader) string {
		signature := []byte("\r\n\r\n\x00\r\nQUIT\n")
		if start, err := reader.Peek(len(signature)); err != nil || !bytes.Equal(start, signature) {
			line, _ := reader.ReadString('\n')
			return "1 " + line
		}
		head := make([]byte, 16)
		_, _ = io.ReadFull(reader, head)
		rest := make([]byte, binary.BigEndian.Uint16(head[14:]))
		_, _ = io.ReadFull(reader, rest)
		if len(rest) < 12 {
			return fmt.Sprintf("2 %x %x", head[12:14], rest)
		}
		return fmt.Sprintf("2 %x %s %s %d %d", head[12:14], net.IP(rest[:4]), net.IP(rest[4:8]),
			binary.BigEndian.Uint16(rest[8:]), binary.BigEndian.Uint16(rest[10:]))
	}
	member := raw(t, func(c net.Conn) {
		reader := bufio.NewReader(c)
		heads <- first(reader)
		for {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	lb := &model.LoadBalancer{Pools: []model.Pool{pool("v1", "PROXY", member), pool("v2", "PROXYV2", member)}}
	for _, protocol := range []string{"HTTP", "TCP", "HTTPS"} {
		for _, p := range []string{"v1", "v2"} {
			lb.Listeners = append(lb.Listeners, listener(t, protocol+"-"+p, protocol, p))
		}
	}
	serve(t, lb)
	// Each TCP listener was connected to before, to see that it is there.
	seen := func(want string) bool {
		for {
			select {
			case head := <-heads:
				if head == want {
					return true
				}
			default:
				return false
			}
		}
	}
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		for _, client := range []string{"127.0.0.7", "127.0.0.8"} {
			connection := dialFrom(t, l, client, 0)
			port := connection.LocalAddr().(*net.TCPAddr).Port
			if body := spoken(t, l, connection); body != "ok" {
				t.Errorf("listener %s: got %q", l.ID, body)
			}
			want := fmt.Sprintf("1 PROXY TCP4 %s 127.0.0.1 %d %d\r\n", client, port, l.ProtocolPort)
			if l.DefaultPoolID == "v2" {
				want = fmt.Sprintf("2 2111 %s 127.0.0.1 %d %d", client, port, l.ProtocolPort)
			}
			if !seen(want) {
				t.Errorf("listener %s: no connection began with %q", l.ID, want)
			}
		}
	}
}
