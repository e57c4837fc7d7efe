package translate

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestNobodyReadsTheAccessLog: the log is a pipe that is full, and the listener serves on.
func TestNobodyReadsTheAccessLog(t *testing.T) {
	web := listener(t, "web", "HTTP", "blue")
	var pipe *os.File
	serveLogged(t, &model.LoadBalancer{
		Listeners: []model.Listener{web}, Pools: []model.Pool{pool("blue", "HTTP", named(t, "blue"))},
	}, func(path string) {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if pipe, err = os.OpenFile(path, os.O_RDWR, 0); err != nil { // so that Envoy can open it
			t.Fatal(err)
		}
	})
	defer func() { _ = pipe.Close() }()
	const requests = 2000 // about 1.5 MB of log; the pipe holds 64 KiB.
	serves(t, &web, requests)

	// Envoy has kept the lines meanwhile.
	_ = pipe.SetReadDeadline(time.Now().Add(testkit.Patience))
	reader := bufio.NewReader(pipe)
	for i := range requests {
		text, err := reader.ReadBytes('\n')
		var got line
		if err != nil || json.Unmarshal(text, &got) != nil || got.number("status") != http.StatusOK {
			t.Fatalf("line %d: %q, %v", i, text, err)
		}
	}
}

// TestDiskOfTheAccessLogIsFull: the log's lines are lost, and the listener serves on.
func TestDiskOfTheAccessLogIsFull(t *testing.T) {
	web := listener(t, "web", "HTTP", "blue")
	serveLogged(t, &model.LoadBalancer{
		Listeners: []model.Listener{web}, Pools: []model.Pool{pool("blue", "HTTP", named(t, "blue"))},
	}, func(path string) {
		if err := os.Symlink("/dev/full", path); err != nil {
			t.Fatal(err)
		}
	})
	serves(t, &web, 500)
}

// serves sends requests on one connection and wants them answered.
func serves(t *testing.T, l *model.Listener, requests int) {
	t.Helper()
	connection := dial(t, l)
	reader := bufio.NewReader(connection)
	for i := range requests {
		if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("request %d: %s, %v", i, response.Status, err)
		}
	}
}
