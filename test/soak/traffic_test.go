package soak

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// traffic starts clients of every kind, for the bystanders' listeners and for those that are played with.
func (s *site) traffic(c *crowd) {
	config := func() *tls.Config { return &tls.Config{RootCAs: s.pki.Pool(), ServerName: "x.example"} }
	for i, role := range []string{bystander, played} {
		at := func(port int) string { return fmt.Sprintf("%s:%d", s.vip, port+i) }
		const often, seldom = 20 * time.Millisecond, 100 * time.Millisecond
		plain, secure := "http://"+at(portHTTP)+"/", "https://"+at(portTLS)+"/"
		c.join(role+"HTTP/1.1, kept", 2, often, kept(1, plain, func() http.RoundTripper { return &http.Transport{} }))
		c.join(role+"HTTP/1.1, new", 1, seldom, kept(1, plain, func() http.RoundTripper { return &http.Transport{DisableKeepAlives: true} }))
		c.join(role+"HTTPS, kept", 1, often, kept(1, secure, func() http.RoundTripper { return &http.Transport{TLSClientConfig: config()} }))
		c.join(role+"HTTPS, new", 1, seldom, kept(1, secure, func() http.RoundTripper {
			return &http.Transport{TLSClientConfig: config(), DisableKeepAlives: true}
		}))
		c.join(role+"HTTP/2", 1, often, kept(2, secure, func() http.RoundTripper {
			return &http.Transport{TLSClientConfig: config(), ForceAttemptHTTP2: true}
		}))
		c.join(role+"HTTP/3", 1, often, kept(3, secure, func() http.RoundTripper { return &http3.Transport{TLSClientConfig: config()} }))
		c.join(role+"HTTPS passed through", 1, seldom, kept(1, "https://"+at(portHTTPS)+"/", func() http.RoundTripper {
			return &http.Transport{TLSClientConfig: config(), DisableKeepAlives: true}
		}))
		metrics := c.join(role+"metrics", 1, 500*time.Millisecond, kept(1, "http://"+at(portPrometheus)+"/metrics", func() http.RoundTripper { return &http.Transport{} }))
		c.join(role+"TCP, new", 1, seldom, echoes(at(portTCP), false))
		long := c.join(role+"TCP, long", 2, often, echoes(at(portTCP), true))
		sockets := c.join(role+"WebSocket", 2, often, webSockets(at(portHTTP)))
		long.mayFail, sockets.mayFail = role == played, role == played
		metrics.mayFail = true // the agent answers, and is killed at times
	}
}

// kept makes requests of a version of HTTP by one transport. They are POSTs: net/http sends a GET that failed again, and hides the loss.
func kept(version int, url string, transport func() http.RoundTripper) client {
	return func(ctx context.Context) (func() error, func(), error) {
		client := &http.Client{Transport: transport(), Timeout: answerIn}
		exchange := func() error {
			method, body := http.MethodPost, io.Reader(strings.NewReader("say it again"))
			if strings.HasSuffix(url, "/metrics") {
				method, body = http.MethodGet, nil
			}
			request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), method, url, body)
			if err != nil {
				return err
			}
			response, err := client.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err == nil && (response.StatusCode != http.StatusOK || response.ProtoMajor != version) {
				err = fmt.Errorf("%s over %s: %.100q", response.Status, response.Proto, text)
			}
			return err
		}
		return exchange, func() {
			client.CloseIdleConnections()
			if closer, ok := client.Transport.(io.Closer); ok {
				_ = closer.Close()
			}
		}, nil
	}
}

// echoes are exchanges on one TCP connection that stays, or with one connection each.
func echoes(address string, stays bool) client {
	return func(context.Context) (func() error, func(), error) {
		dial := func() (net.Conn, error) { return net.DialTimeout("tcp", address, answerIn) }
		if !stays {
			return func() error {
				connection, err := dial()
				if err != nil {
					return err
				}
				defer connection.Close()
				return echo(connection, connection)
			}, nil, nil
		}
		connection, err := dial()
		if err != nil {
			return nil, nil, err
		}
		return func() error { return echo(connection, connection) }, func() { _ = connection.Close() }, nil
	}
}

func echo(connection net.Conn, answers io.Reader) error {
	if err := connection.SetDeadline(time.Now().Add(answerIn)); err != nil {
		return err
	}
	said := []byte("say it again")
	if _, err := connection.Write(said); err != nil {
		return err
	}
	heard := make([]byte, len(said))
	if _, err := io.ReadFull(answers, heard); err != nil {
		return err
	}
	if !bytes.Equal(said, heard) {
		return fmt.Errorf("heard %q", heard)
	}
	return nil
}

// webSockets are exchanges on one WebSocket that stays.
func webSockets(address string) client {
	return func(context.Context) (func() error, func(), error) {
		connection, err := net.DialTimeout("tcp", address, answerIn)
		if err != nil {
			return nil, nil, err
		}
		end := func() { _ = connection.Close() }
		_ = connection.SetDeadline(time.Now().Add(answerIn))
		if _, err = io.WriteString(connection, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"); err != nil {
			return nil, end, err
		}
		answers := bufio.NewReader(connection)
		response, err := http.ReadResponse(answers, nil)
		if err == nil && response.StatusCode != http.StatusSwitchingProtocols {
			err = fmt.Errorf("WebSocket: %s", response.Status)
		}
		if err != nil {
			return nil, end, err
		}
		return func() error { return echo(connection, answers) }, end, nil
	}
}
