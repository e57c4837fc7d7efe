package accesslog

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// TestDiskHangs: Envoy keeps some lines for a disk that hangs and leaves out the others, and serves all the while. When the disk is
// back, so is the log.
func TestDiskHangs(t *testing.T) {
	dir := testkit.SocketDir(t)
	path := filepath.Join(dir, translate.AccessLogFile)
	if err := unix.Mkfifo(path, 0o600); err != nil { // a pipe that is full hangs like a disk
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	address := startEnvoy(t, dir)
	admin := envoyadmin.New(filepath.Join(dir, "admin.sock"))
	const limit = 500_000
	testkit.Run(t, func(ctx context.Context) error {
		Run(ctx, Options{
			Config: Config{Dir: dir, MaxFileBytes: DefaultMaxFileBytes, Files: DefaultFiles}, Admin: admin, Every: 10 * time.Millisecond,
			MaxBuffered: limit, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		return nil
	})
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	answers := bufio.NewReader(connection)
	sent := 0
	request := func(count int) {
		t.Helper()
		for range count {
			if _, err := fmt.Fprintf(connection, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", sent); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(answers, nil)
			if err != nil || response.StatusCode != http.StatusServiceUnavailable {
				t.Fatal(response, err)
			}
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	buffered := func() uint64 {
		t.Helper()
		stats, err := admin.Stats(t.Context(), statsOfFiles)
		if err != nil {
			t.Fatal(err)
		}
		return stats[statBuffered]
	}
	testkit.Until(t, "Envoy keeps more than it may", func() bool {
		request(100)
		return buffered() > limit
	})
	// From some request on, none adds to what is kept.
	testkit.Until(t, "the log is off", func() bool {
		before := buffered()
		request(100)
		return buffered() == before
	})

	_ = pipe.SetReadDeadline(time.Now().Add(testkit.Patience))
	lines := bufio.NewReader(pipe)
	seen := map[string]bool{}
	read := func() {
		t.Helper()
		text, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		var line struct {
			Path string `json:"path"`
		}
		if err := json.Unmarshal(text, &line); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		seen[line.Path] = true
	}
	for buffered() > 0 {
		read()
	}
	off := sent
	testkit.Until(t, "the log is on again", func() bool {
		request(1)
		return buffered() > 0
	})
	for !seen[fmt.Sprintf("/%d", sent-1)] {
		read()
	}
	if len(seen) >= sent || !seen["/0"] || seen[fmt.Sprintf("/%d", off-1)] {
		t.Errorf("%d lines of %d requests; the first is there: %v; the one when the log was off: %v",
			len(seen), sent, seen["/0"], seen[fmt.Sprintf("/%d", off-1)])
	}
}

// startEnvoy runs an Envoy in a directory, with an admin interface, whose one listener answers 503; it returns where that is.
func startEnvoy(t *testing.T, dir string) string {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := socket.Addr().(*net.TCPAddr)
	_ = socket.Close()
	resources, err := translate.LoadBalancer(&model.LoadBalancer{
		ID: "lb", VIPAddress: "127.0.0.1", AdminStateUp: true, Flavor: map[string]any{"access_log": true},
		Listeners: []model.Listener{{ID: "web", Protocol: "HTTP", ProtocolPort: address.Port, AdminStateUp: true, ConnectionLimit: -1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	static, err := translate.Static(resources)
	if err != nil {
		t.Fatal(err)
	}
	document, err := protojson.Marshal(static)
	if err != nil {
		t.Fatal(err)
	}
	var bootstrap map[string]any
	if err := json.Unmarshal(document, &bootstrap); err != nil {
		t.Fatal(err)
	}
	bootstrap["admin"] = map[string]any{"address": map[string]any{"pipe": map[string]any{"path": filepath.Join(dir, "admin.sock")}}}
	layers := bootstrap["layeredRuntime"].(map[string]any)
	layers["layers"] = append(layers["layers"].([]any), map[string]any{"name": "admin", "adminLayer": map[string]any{}})
	if document, err = json.Marshal(bootstrap); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(config, document, 0o600); err != nil {
		t.Fatal(err)
	}
	envoybin.Start(t, config, "--file-flush-interval-msec", "20")
	testkit.Eventually(t, func() error {
		connection, err := net.Dial("tcp", address.String())
		if err == nil {
			_ = connection.Close()
		}
		return err
	})
	return address.String()
}
