package status_test

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// smallBacklog listens like Python's socketserver, with room for very few connections, and accepts none until told so.
func smallBacklog(t *testing.T) (socket string, accept func(count int)) {
	t.Helper()
	dir := testkit.SocketDir(t)
	socket = filepath.Join(dir, "s.sock")
	listener, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Close(listener)
		os.RemoveAll(dir)
	})
	if err := syscall.Bind(listener, &syscall.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(listener, 0); err != nil {
		t.Fatal(err)
	}
	return socket, func(count int) {
		for range count {
			fd, _, err := syscall.Accept(listener)
			if err != nil {
				t.Error(err)
				return
			}
			conn := os.NewFile(uintptr(fd), "conn")
			reader := bufio.NewReader(conn)
			header, _ := reader.ReadString('\n')
			size, _ := strconv.Atoi(strings.TrimSpace(header))
			_, _ = io.CopyN(io.Discard, reader, int64(size))
			_, _ = conn.Write(frame(`{"status_code": 200}`))
			conn.Close()
		}
	}
}
