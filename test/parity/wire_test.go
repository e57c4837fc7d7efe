package parity

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// message is one HTTP message with nothing made prettier: neither net/http nor anything else is between it and the wire.
type message struct {
	// First is the request or status line.
	First   string
	Headers []header
	// Framing says how the body ends: none, length, chunked, close, or cut when it did not come whole; tunnel is no body.
	Framing  string
	Body     []byte
	Trailers []header
}

const (
	framingNone    = "none"
	framingLength  = "length"
	framingChunked = "chunked"
	framingClose   = "close"
	framingCut     = "cut"
	framingTunnel  = "tunnel"
)

var errMalformed = errors.New("malformed")

// readHead reads the first line and the headers.
func readHead(r *bufio.Reader) (*message, error) {
	var first string
	for first == "" { // RFC 9112, 2.2: empty lines before a request are ignored
		var err error
		if first, err = readLine(r); err != nil {
			return nil, err
		}
	}
	headers, err := readHeaders(r)
	return &message{First: first, Headers: headers, Framing: framingNone}, err
}

func readHeaders(r *bufio.Reader) ([]header, error) {
	var all []header
	for {
		line, err := readLine(r)
		if err != nil || line == "" {
			return all, err
		}
		if folded := strings.TrimLeft(line, " \t"); folded != line && len(all) > 0 {
			all[len(all)-1].Value += text(" " + folded) // RFC 9112, 5.2
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("%w: header %q", errMalformed, line)
		}
		all = append(all, header{name, text(strings.Trim(value, " \t"))})
	}
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err == io.EOF && line != "" {
		err = io.ErrUnexpectedEOF
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), err
}

// readBody reads the body by RFC 9112, 6.3. untilClose is what a response without a length has.
func (m *message) readBody(r *bufio.Reader, untilClose bool) error {
	var err error
	switch length := m.values("content-length"); {
	case slices.ContainsFunc(m.values("transfer-encoding"), func(v string) bool { return strings.HasSuffix(strings.ToLower(v), "chunked") }):
		m.Framing = framingChunked
		err = m.readChunks(r)
	case len(length) > 0:
		m.Framing = framingLength
		var size int
		same, _, _ := strings.Cut(length[0], ",") // RFC 9110, 8.6
		if size, err = strconv.Atoi(same); err != nil || size < 0 {
			return fmt.Errorf("%w: content-length %q", errMalformed, length[0])
		}
		m.Body = make([]byte, size)
		var n int
		n, err = io.ReadFull(r, m.Body)
		m.Body = m.Body[:n]
	case untilClose:
		m.Framing = framingClose
		m.Body, err = io.ReadAll(r)
	}
	if err != nil {
		m.Framing = framingCut
	}
	return err
}

func (m *message) readChunks(r *bufio.Reader) error {
	for {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		digits, _, _ := strings.Cut(line, ";")
		size, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 31)
		if err != nil {
			return fmt.Errorf("%w: chunk %q", errMalformed, line)
		}
		if size == 0 {
			m.Trailers, err = readHeaders(r)
			return err
		}
		chunk := make([]byte, size)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return err
		}
		m.Body = append(m.Body, chunk...)
		if end, err := readLine(r); err != nil || end != "" {
			return fmt.Errorf("%w: end of chunk %q: %w", errMalformed, end, err)
		}
	}
}

// values returns the values of a header, one a line, in their order.
func (m *message) values(name string) []string {
	var all []string
	for _, h := range m.Headers {
		if strings.EqualFold(h.Name, name) {
			all = append(all, string(h.Value))
		}
	}
	return all
}

func (m *message) value(name string) string { return strings.Join(m.values(name), "\n") }

// without returns the message without a header.
func (m *message) without(name string) *message {
	copied := *m
	copied.Headers = slices.DeleteFunc(slices.Clone(m.Headers), func(h header) bool { return strings.EqualFold(h.Name, name) })
	return &copied
}

// status is the code of a response.
func (m *message) status() int {
	parts := strings.SplitN(m.First, " ", 3)
	if len(parts) < 2 {
		return 0
	}
	code, _ := strconv.Atoi(parts[1])
	return code
}

// String is the message for a reader: long bodies are cut.
func (m *message) String() string {
	if m == nil {
		return "nothing"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", m.First)
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "%s: %.300q\n", h.Name, string(h.Value))
	}
	body := m.Body
	if len(body) > 300 {
		body = append(bytes.Clone(body[:300]), "…"...)
	}
	fmt.Fprintf(&b, "(body: %s, %d bytes) %q", m.Framing, len(m.Body), body)
	for _, h := range m.Trailers {
		fmt.Fprintf(&b, "\n(trailer) %s: %q", h.Name, string(h.Value))
	}
	return b.String()
}

// persists reports whether a request keeps its connection.
func (m *message) persists() bool {
	connection := strings.ToLower(m.value("connection"))
	if strings.HasSuffix(m.First, " HTTP/1.0") {
		return strings.Contains(connection, "keep-alive")
	}
	return strings.HasSuffix(m.First, " HTTP/1.1") && !strings.Contains(connection, "close")
}
