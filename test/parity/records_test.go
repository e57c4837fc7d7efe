package parity

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

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

// readProxy reads a PROXY header of either version, if one is there, and returns it but for the client's port.
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
		line, err := r.ReadString('\n')
		if fields := strings.Split(line, " "); len(fields) == 6 {
			fields[4] = "PORT"
			line = strings.Join(fields, " ")
		}
		return fmt.Sprintf("1 %q", line), err
	}
	if start[0] != '\r' {
		return "", nil
	}
	if start, err = r.Peek(16); err != nil || !bytes.HasPrefix(start, signature) {
		return "", nil //nolint:nilerr // as above
	}
	whole := make([]byte, 16+int(binary.BigEndian.Uint16(start[14:])))
	if _, err := io.ReadFull(r, whole); err != nil {
		return "", err
	}
	const tcp4, tcp6 = 0x11, 0x21
	switch length := len(whole); {
	case whole[13] == tcp4 && length >= 28:
		return fmt.Sprintf("2 %x %s PORT to %s %d, then %x", whole[12:16], address(whole[16:20]), address(whole[20:24]),
			binary.BigEndian.Uint16(whole[26:]), whole[28:]), nil
	case whole[13] == tcp6 && length >= 52:
		return fmt.Sprintf("2 %x %s PORT to %s %d, then %x", whole[12:16], address(whole[16:32]), address(whole[32:48]),
			binary.BigEndian.Uint16(whole[50:]), whole[52:]), nil
	}
	return fmt.Sprintf("2 %x", whole[12:]), nil
}

func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	return a
}
