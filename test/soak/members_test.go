package soak

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// webMember is an HTTP server, over TLS with a certificate, that also takes WebSockets, of which it echoes the bytes. It returns its port.
func webMember(t *testing.T, certificate *pki.Certificate) int {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, "hello")
			return
		}
		connection, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer connection.Close()
		_, _ = io.WriteString(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(connection, buffered)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // checks that end before their handshake
	if certificate != nil {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}}
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().(*net.TCPAddr).Port
}

// echoMember echoes over TCP and, at the same port, over UDP, and tells of the datagrams that it gets. It returns its port.
func echoMember(t *testing.T, hear func(datagram []byte)) int {
	t.Helper()
	stream, packets := listenBoth(t)
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]struct{}{}
	running.Go(func() {
		for {
			connection, err := stream.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[connection] = struct{}{}
			mu.Unlock()
			running.Go(func() {
				_, _ = io.Copy(connection, connection)
				_ = connection.Close()
				mu.Lock()
				delete(open, connection)
				mu.Unlock()
			})
		}
	})
	running.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			hear(buffer[:n])
			_, _ = packets.WriteTo(buffer[:n], from)
		}
	})
	t.Cleanup(func() {
		_, _ = stream.Close(), packets.Close()
		mu.Lock()
		for connection := range open {
			_ = connection.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return stream.Addr().(*net.TCPAddr).Port
}

func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		stream, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		packets, err := net.ListenPacket("udp", stream.Addr().String())
		if err == nil {
			return stream, packets
		}
		_ = stream.Close()
	}
	t.Fatal("no port that is free for TCP and UDP")
	return nil, nil
}
