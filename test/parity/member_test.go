package parity

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Headers between clients and members. They pass both proxies like any other.
const (
	// headerID tells one request of one client from all others.
	headerID = "X-Parity"
	// headerAnswer asks the member for one of its odd answers.
	headerAnswer = "X-Answer"
	// headerMember names the member that answers.
	headerMember = "X-Member"
)

// Ports of members. Listeners have others: the members' sockets listen on all addresses.
const (
	firstMemberPort = 9001
	memberPorts     = 2
	deadPort        = 9009 // nobody is there
)

// seen is a request as it reached a member.
type seen struct {
	Member netip.AddrPort
	// Proxy is the PROXY header before it: version, source, destination; "" without one.
	Proxy   string
	Request *message
}

// recorder keeps what the members saw, by the id of the request.
type recorder struct {
	mutex sync.Mutex
	all   map[string][]seen
}

func (r *recorder) add(id string, s seen) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.all[id] = append(r.all[id], s)
}

// take returns and forgets what was seen of a request.
func (r *recorder) take(id string) []seen {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	s := r.all[id]
	delete(r.all, id)
	return s
}

// startMembers serves on all addresses. What they speak follows the first bytes: HTTP, or records that look like TLS,
// either behind a PROXY header or not.
func startMembers(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{all: map[string][]seen{}}
	for port := firstMemberPort; port < firstMemberPort+memberPorts; port++ {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("::", strconv.Itoa(port)))
		must(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				go r.serve(connection)
			}
		}()
	}
	return r
}

func (r *recorder) serve(connection net.Conn) {
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(time.Minute))
	local := netip.MustParseAddrPort(connection.LocalAddr().String())
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	reader := bufio.NewReaderSize(connection, 64<<10)
	proxy, err := readProxy(reader)
	if err != nil {
		return
	}
	first, err := reader.Peek(1)
	if err != nil {
		return
	}
	if first[0] == recordType {
		r.serveRecords(connection, reader, seen{Member: local, Proxy: proxy})
		return
	}
	for {
		request, err := readHead(reader)
		if err != nil {
			return
		}
		id := request.value(headerID)
		request = request.without(headerID)
		s := seen{Member: local, Proxy: proxy, Request: request}
		method, _, _ := strings.Cut(request.First, " ")
		answer := answerOf(request.value(headerAnswer), local.String(), method)
		if strings.EqualFold(request.value("expect"), "100-continue") && !answer.early {
			_, _ = io.WriteString(connection, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		if !answer.early {
			err = request.readBody(reader, false)
		}
		closes := answer.close || strings.HasSuffix(request.First, "/1.0") || strings.EqualFold(request.value("connection"), "close")
		r.add(id, s) // and with that the request is the comparison's
		if err != nil {
			return
		}
		for i, part := range answer.parts {
			if i > 0 {
				time.Sleep(time.Millisecond) // in segments of their own, most of the time: it decides nothing
			}
			if _, err := connection.Write(part); err != nil {
				return
			}
		}
		if answer.hang {
			_, _ = io.Copy(io.Discard, reader)
		}
		if closes {
			if half, ok := connection.(*net.TCPConn); ok { // so that unread bytes do not make it a reset
				_ = half.CloseWrite()
				_ = connection.SetDeadline(time.Now().Add(time.Second))
				_, _ = io.Copy(io.Discard, reader)
			}
			return
		}
	}
}

// A record is what a TCP or HTTPS listener passes through unread here: like TLS's, a type, a version, a length, content.
const recordType = 0x16

func record(content string) []byte {
	b := []byte{recordType, 3, 1}
	b = binary.BigEndian.AppendUint16(b, uint16(len(content)))
	return append(b, content...)
}

func readRecord(r io.Reader) (string, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", err
	}
	content := make([]byte, binary.BigEndian.Uint16(head[3:]))
	_, err := io.ReadFull(r, content)
	return string(content), err
}

// serveRecords answers every record with its content and the member's name. The id of the request is its first word.
func (r *recorder) serveRecords(connection net.Conn, reader *bufio.Reader, s seen) {
	for {
		content, err := readRecord(reader)
		if err != nil {
			return
		}
		id, rest, _ := strings.Cut(content, " ")
		s.Request = &message{First: "record", Framing: framingLength, Body: []byte(rest)}
		r.add(id, s)
		if _, err := connection.Write(record(s.Member.String() + " " + rest)); err != nil {
			return
		}
	}
}

// readProxy reads a PROXY header of either version, if one is there.
// https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt
func readProxy(r *bufio.Reader) (string, error) {
	signature := []byte("\r\n\r\n\x00\r\nQUIT\n")
	start, err := r.Peek(1)
	if err != nil {
		return "", err
	}
	if start[0] == 'P' {
		if start, err = r.Peek(6); err != nil || string(start) != "PROXY " {
			return "", nil //nolint:nilerr // a request that is short is none of PROXY
		}
		line, err := readLine(r)
		fields := strings.Fields(line)
		if len(fields) == 6 {
			return fmt.Sprintf("1 %s %s %s to %s %s", fields[1], fields[2], "PORT", fields[3], fields[5]), err
		}
		return "1 " + line, err
	}
	if start[0] != '\r' {
		return "", nil
	}
	if start, err = r.Peek(16); err != nil || !bytes.HasPrefix(start, signature) {
		return "", nil //nolint:nilerr // as above
	}
	command, family, length := start[12], start[13], int(binary.BigEndian.Uint16(start[14:]))
	whole := make([]byte, 16+length)
	if _, err := io.ReadFull(r, whole); err != nil {
		return "", err
	}
	body := whole[16:]
	size := map[byte]int{0x11: 4, 0x21: 16}[family]
	if size == 0 || len(body) < 2*size+4 {
		return fmt.Sprintf("2 command %#x family %#x", command, family), nil
	}
	from, _ := netip.AddrFromSlice(body[:size])
	to, _ := netip.AddrFromSlice(body[size : 2*size])
	port := binary.BigEndian.Uint16(body[2*size+2:])
	return fmt.Sprintf("2 command %#x family %#x %s PORT to %s %d, %d bytes more", command, family, from, to, port, len(body)-2*size-4), nil
}
