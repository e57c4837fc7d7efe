package syslog

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// connectionBuffer is what is handed to the operating system at once, in bytes.
const connectionBuffer = 64 << 10

// errGone says that the receiver has closed the connection.
var errGone = errors.New("the receiver has closed the connection")

// Connection is open to one receiver. One goroutine at a time may send.
type Connection struct {
	raw net.Conn
	// stream is nil when each message is a datagram.
	stream *bufio.Writer
	gone   chan struct{}
	frame  []byte
}

// Dial connects to a receiver. The TLS configuration is for targets of TLS alone, and may be nil: then the system's
// authorities are trusted. The receiver's certificate has to be for the target's host. The context bounds dialling.
func Dial(ctx context.Context, target Target, config *tls.Config) (*Connection, error) {
	network := map[Transport]string{TCP: "tcp", TLS: "tcp", UDP: "udp", Unix: "unixgram"}[target.Transport]
	raw, err := (&net.Dialer{}).DialContext(ctx, network, target.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to the syslog receiver %s: %w", target, err)
	}
	if target.Transport == TLS {
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		config = config.Clone()
		config.ServerName = target.host()
		secure := tls.Client(raw, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("connect to the syslog receiver %s: %w", target, err)
		}
		raw = secure
	}
	c := &Connection{raw: raw, gone: make(chan struct{})}
	if target.Transport == TCP || target.Transport == TLS {
		c.stream = bufio.NewWriterSize(raw, connectionBuffer)
		go func() {
			// A receiver says nothing. When reading ends, it has closed: the first write after that would be lost without an error.
			_, _ = io.Copy(io.Discard, raw)
			close(c.gone)
		}()
	}
	return c, nil
}

// Send sends messages, and returns when the operating system has taken them all: after an error, any of them may have
// been sent, and the connection is of no more use. A datagram that is too long for the transport is left out; count tells how many
// messages were not.
func (c *Connection) Send(messages []*Message, within time.Duration) (count int, err error) {
	select {
	case <-c.gone:
		return 0, errGone
	default:
	}
	if err := c.raw.SetWriteDeadline(time.Now().Add(within)); err != nil {
		return 0, err
	}
	for _, message := range messages {
		c.frame = message.Append(c.frame[:0])
		if c.stream == nil {
			_, err := c.raw.Write(c.frame)
			if errors.Is(err, unix.EMSGSIZE) {
				continue
			}
			if err != nil {
				return count, fmt.Errorf("send to the syslog receiver: %w", err)
			}
			count++
			continue
		}
		var length [20]byte
		_, err := c.stream.Write(append(strconv.AppendInt(length[:0], int64(len(c.frame)), 10), ' '))
		if err == nil {
			_, err = c.stream.Write(c.frame)
		}
		if err != nil {
			return count, fmt.Errorf("send to the syslog receiver: %w", err)
		}
		count++
	}
	if c.stream == nil {
		return count, nil
	}
	if err := c.stream.Flush(); err != nil {
		return count, fmt.Errorf("send to the syslog receiver: %w", err)
	}
	return count, nil
}

// Close closes the connection, after what was sent.
func (c *Connection) Close() error { return c.raw.Close() }
