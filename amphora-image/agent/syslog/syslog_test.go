package syslog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// grammar is RFC 5424's, section 6, with one element of structured data at most.
var grammar = regexp.MustCompile(`^<(\d{1,3})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) ` +
	`(-|\[[^ ="\]]{1,32}(?: [^ ="\]]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*\]) (.*)$`)

func TestMessage(t *testing.T) {
	for name, test := range map[string]struct {
		message Message
		want    string
	}{
		"all of it": {
			Message{
				Facility: Local0, Severity: Informational, Time: "2026-11-23T15:00:00.123Z", Host: "amphora", App: "app", ID: "HTTP",
				DataID: "x@32473", Data: []Param{{"a", "1"}, {"b", "2"}}, Text: []byte(`{"a":1}`),
			},
			`<134>1 2026-11-23T15:00:00.123Z amphora app - HTTP [x@32473 a="1" b="2"] {"a":1}`,
		},
		"nothing":       {Message{}, `<0>1 - - - - - - `},
		"hostile value": {Message{Facility: 23, Severity: 7, DataID: "x", Data: []Param{{"a", "\"]\\\xff"}}}, `<191>1 - - - - - [x a="\"\]\\?"] `},
		"hostile names": {Message{Host: "a b\n\xff", ID: strings.Repeat("i", 40)}, "<0>1 - a?b?? - - " + strings.Repeat("i", 32) + " - "},
	} {
		got := string(test.message.Append(nil))
		if got != test.want {
			t.Errorf("%s: got  %q\nwant %q", name, got, test.want)
		}
		if !grammar.MatchString(got) {
			t.Errorf("%s: %q is not as RFC 5424 has it", name, got)
		}
	}
}

func TestParseTarget(t *testing.T) {
	for _, good := range []string{"tcp:192.0.2.1:514", "tls:logs.example:6514", "udp:[2001:db8::1]:514", "unix:/dev/log"} {
		if target, err := ParseTarget(good); err != nil || target.String() != good {
			t.Errorf("ParseTarget(%q) = %v, %v", good, target, err)
		}
	}
	for _, bad := range []string{
		"", "tcp", "tcp:", "tcp:192.0.2.1", "tcp:192.0.2.1:0", "tcp:192.0.2.1:65536", "tcp:192.0.2.1:syslog", "udp::514", "unix:dev/log",
		"http://x", "unix:/" + strings.Repeat("x", 107),
	} {
		if target, err := ParseTarget(bad); err == nil || !strings.Contains(err.Error(), "unix:/path") {
			t.Errorf("ParseTarget(%q) = %v, %v", bad, target, err)
		}
	}
}

// frame reads a message that is framed by its length.
func frame(reader *bufio.Reader) (string, error) {
	var length int
	if _, err := fmt.Fscanf(reader, "%d", &length); err != nil {
		return "", err
	}
	if space, err := reader.ReadByte(); err != nil || space != ' ' {
		return "", fmt.Errorf("%q, %w", space, err)
	}
	message := make([]byte, length)
	_, err := io.ReadFull(reader, message)
	return string(message), err
}

func messages(texts ...string) []*Message {
	var all []*Message
	for _, text := range texts {
		all = append(all, &Message{Text: []byte(text)})
	}
	return all
}

// receiverAt is a certificate of a receiver at an address.
func receiverAt(t *testing.T, address string) *x509.Certificate {
	t.Helper()
	template := testkit.Named(t, "receiver")
	template.IPAddresses = []net.IP{net.ParseIP(address)}
	return template
}

func dialed(t *testing.T, target string, config *tls.Config) *Connection {
	t.Helper()
	parsed, err := ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	connection, err := Dial(ctx, parsed, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func TestStreams(t *testing.T) {
	authority := testkit.NewAuthority(t)
	server, client, trusted := authority.Issue(t, receiverAt(t, "127.0.0.1")), authority.Issue(t, testkit.Named(t, "amphora")), authority.Pool()
	for transport, secure := range map[string]bool{"tcp": false, "tls": true} {
		t.Run(transport, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if secure {
				listener = tls.NewListener(listener, &tls.Config{
					Certificates: []tls.Certificate{server}, ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert,
				})
			}
			defer listener.Close()
			accepted := make(chan net.Conn, 1)
			go func() {
				if raw, err := listener.Accept(); err == nil {
					if shaking, ok := raw.(*tls.Conn); ok {
						_ = shaking.Handshake()
					}
					accepted <- raw
				}
			}()
			connection := dialed(t, transport+":"+listener.Addr().String(), &tls.Config{
				MinVersion: tls.VersionTLS12, RootCAs: trusted, Certificates: []tls.Certificate{client},
			})
			texts := []string{"one", "two\nlines", strings.Repeat("x", 200_000), "äöü"}
			go func() {
				if count, err := connection.Send(messages(texts...), testkit.Patience); count != len(texts) || err != nil {
					t.Errorf("Send() = %d, %v", count, err)
				}
			}()
			receiver := <-accepted
			reader := bufio.NewReader(receiver)
			for _, want := range texts {
				got, err := frame(reader)
				if err != nil || got != "<0>1 - - - - - - "+want {
					t.Fatalf("got %.60q, %v; want %.40q", got, err, want)
				}
			}
			// A receiver that goes away is noticed before anything is given to it.
			_ = receiver.Close()
			testkit.Eventually(t, func() error {
				select {
				case <-connection.gone:
					return nil
				default:
					return errors.New("not noticed")
				}
			})
			if count, err := connection.Send(messages("lost"), testkit.Patience); count != 0 || !errors.Is(err, errGone) {
				t.Errorf("Send() = %d, %v", count, err)
			}
		})
	}
}

func TestStrangersOfTLS(t *testing.T) {
	authority, other := testkit.NewAuthority(t), testkit.NewAuthority(t)
	for name, certificate := range map[string]tls.Certificate{
		"another name":      authority.Issue(t, receiverAt(t, "127.0.0.2")),
		"another authority": other.Issue(t, receiverAt(t, "127.0.0.1")),
	} {
		listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if raw, err := listener.Accept(); err == nil {
				_ = raw.(*tls.Conn).Handshake()
				_ = raw.Close()
			}
		}()
		target := Target{Transport: TLS, Address: listener.Addr().String()}
		if _, err := Dial(t.Context(), target, &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}); err == nil {
			t.Errorf("a receiver with a certificate of %s was trusted", name)
		}
		_ = listener.Close()
	}
}

func TestDatagrams(t *testing.T) {
	path := filepath.Join(testkit.SocketDir(t), "log")
	for network, address := range map[string]string{"udp": "127.0.0.1:0", "unixgram": path} {
		receiver, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		target := "udp:" + receiver.LocalAddr().String()
		if network == "unixgram" {
			target = "unix:" + path
		}
		connection := dialed(t, target, nil)
		// The second one is too long for UDP, and no reason to stop.
		texts := []string{"one", strings.Repeat("x", 70_000), "two"}
		want := []string{"one", "two"}
		if network == "unixgram" {
			want = texts
		}
		if count, err := connection.Send(messages(texts...), testkit.Patience); count != len(want) || err != nil {
			t.Fatalf("%s: Send() = %d, %v", network, count, err)
		}
		buffer := make([]byte, 100_000)
		for _, text := range want {
			_ = receiver.SetReadDeadline(time.Now().Add(testkit.Patience))
			count, _, err := receiver.ReadFrom(buffer)
			if err != nil || !bytes.HasSuffix(buffer[:count], []byte(" "+text)) || !grammar.Match(buffer[:count]) {
				t.Fatalf("%s: got %.60q, %v; want %.40q", network, buffer[:count], err, text)
			}
		}
		_ = receiver.Close()
	}
}

// TestSlowReceiver: one that never reads ends in an error, and not in a sender that waits for ever.
func TestSlowReceiver(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	connection := dialed(t, "tcp:"+listener.Addr().String(), nil)
	all := make([]*Message, 1000)
	for i := range all {
		all[i] = &Message{Text: bytes.Repeat([]byte("x"), 100_000)}
	}
	var timeout net.Error
	if _, err := connection.Send(all, 100*time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("Send() = %v, want the end of its time", err)
	}
}
