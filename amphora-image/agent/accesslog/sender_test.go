package accesslog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// receiver is a syslog receiver over TCP. It keeps the texts of the messages.
type receiver struct {
	listener net.Listener
	mu       sync.Mutex
	messages []string
	open     []net.Conn
	// deaf accepts and never reads.
	deaf bool
}

func receive(t *testing.T, address string, deaf bool) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{listener: listener, deaf: deaf}
	t.Cleanup(r.close)
	go func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.open = append(r.open, raw)
			r.mu.Unlock()
			if !r.deaf {
				go r.read(raw)
			}
		}
	}()
	return r
}

func (r *receiver) read(raw net.Conn) {
	reader := bufio.NewReader(raw)
	for {
		var length int
		if _, err := fmt.Fscanf(reader, "%d", &length); err != nil {
			return
		}
		message := make([]byte, length+1)
		if _, err := io.ReadFull(reader, message); err != nil {
			return
		}
		r.mu.Lock()
		r.messages = append(r.messages, string(message[1:]))
		r.mu.Unlock()
	}
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages
}

func (r *receiver) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range r.open {
		_ = raw.Close()
	}
}

func (r *receiver) target() string { return "tcp:" + r.listener.Addr().String() }

// keep runs a keeper with a sender until stop or the end of the test.
func keep(t *testing.T, config Config, envoy *writer) (stop func()) {
	t.Helper()
	return testkit.Run(t, func(ctx context.Context) error {
		Run(ctx, Options{
			Config: config, Host: "amphora-1", Admin: locked{envoy}, Every: 10 * time.Millisecond,
			Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		return nil
	})
}

// locked is an Admin of a keeper that runs in another goroutine than the writer.
type locked struct{ *writer }

// Do implements Admin: a writer that is looked at in other ways by the test opens its file itself.
func (locked) Do(context.Context, string, string) ([]byte, error) { return nil, nil }

func logged(number int) string {
	return fmt.Sprintf(`{"listener_id":"web","listener_protocol":"HTTP","loadbalancer_id":"lb","n":%d,"path":"/\"project_id\":\"forged\"",`+
		`"project_id":"p1","time":"2026-11-23T15:00:00.123Z"}`, number)
}

func (w *writer) log(count int) {
	w.t.Helper()
	var text bytes.Buffer
	for range count {
		fmt.Fprintln(&text, logged(w.lines))
		w.lines++
	}
	if _, err := w.file.Write(text.Bytes()); err != nil {
		w.t.Fatal(err)
	}
}

func newLog(t *testing.T, targets ...string) (Config, *writer) {
	t.Helper()
	config := Config{Targets: targets, Facility: 3}
	config.SetDefaults(t.TempDir())
	if err := config.Check(); err != nil {
		t.Fatal(err)
	}
	envoy := &writer{t: t, files: files{config.Dir}}
	envoy.reopen()
	t.Cleanup(envoy.close)
	return config, envoy
}

func progress(t *testing.T, config Config) Progress {
	t.Helper()
	var done Progress
	data, err := os.ReadFile(filepath.Join(config.Dir, stateFile))
	if err != nil || json.Unmarshal(data, &done) != nil {
		t.Fatalf("%s, %v", data, err)
	}
	return done
}

// TestSender: what a receiver gets, before and after it was away, and after the agent was.
func TestSender(t *testing.T) {
	first := receive(t, "127.0.0.1:0", false)
	config, envoy := newLog(t, first.target())
	stop := keep(t, config, envoy)
	envoy.log(3)
	testkit.Until(t, "3 messages", func() bool { return len(first.got()) == 3 })
	for i, got := range first.got() {
		want := `<158>1 2026-11-23T15:00:00.123Z amphora-1 octavia-envoy - HTTP ` +
			`[octavia@32473 project_id="p1" loadbalancer_id="lb" listener_id="web"] ` + logged(i)
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if _, err := envoy.file.WriteString("{\"half\":\n"); err != nil {
		t.Fatal(err)
	}
	envoy.log(1)
	testkit.Until(t, "one message more", func() bool { return len(first.got()) == 4 })
	stop()
	if done := progress(t, config); done.Sent != 4 || done.Broken != 1 || done.Dropped != 0 {
		t.Errorf("it says %+v", done)
	}
	envoy.log(2)
	address := first.listener.Addr().String()
	first.close()
	stop = keep(t, config, envoy)
	envoy.log(2)
	second := receive(t, address, false)
	testkit.Until(t, "4 messages", func() bool { return len(second.got()) == 4 })
	envoy.log(1)
	stop() // and what is left is sent
	if got := second.got(); len(got) != 5 || !strings.Contains(got[4], `"n":8,`) {
		t.Errorf("got %v", got)
	}
}

// TestSenderStandsIn: the second receiver while the first is away.
func TestSenderStandsIn(t *testing.T) {
	first, second := receive(t, "127.0.0.1:0", false), receive(t, "127.0.0.1:0", false)
	config, envoy := newLog(t, first.target(), second.target())
	keep(t, config, envoy)
	envoy.log(1)
	testkit.Until(t, "a message at the first", func() bool { return len(first.got()) == 1 })
	first.close()
	testkit.Until(t, "messages at the second", func() bool {
		envoy.log(1)
		return len(second.got()) > 0
	})
	testkit.Until(t, "all messages", func() bool { return len(first.got())+len(second.got()) >= envoy.lines-1 })
}

// TestSenderPrefersTheFirst asks for what takes a minute.
func TestSenderPrefersTheFirst(t *testing.T) {
	first, second := receive(t, "127.0.0.1:0", false), receive(t, "127.0.0.1:0", false)
	config, envoy := newLog(t, first.target(), second.target())
	s := newSender(Options{Config: config, Logger: slog.New(slog.DiscardHandler)}, openSpool(files{config.Dir}, slog.New(slog.DiscardHandler)))
	defer s.disconnect()
	step := func() {
		t.Helper()
		envoy.log(1)
		if _, err := s.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	address := first.listener.Addr().String()
	first.close()
	step()
	if s.target != 1 {
		t.Fatalf("it sends to target %d", s.target)
	}
	again := receive(t, address, false)
	step()
	s.connected = time.Now().Add(-2 * preferAfter)
	step()
	testkit.Until(t, "two messages at the second, one at the first", func() bool { return len(second.got()) == 2 && len(again.got()) == 1 })
}

// TestDeafReceiver: one that never reads stops neither the bounds of the disk nor the end of the agent.
func TestDeafReceiver(t *testing.T) {
	deaf := receive(t, "127.0.0.1:0", true)
	config, envoy := newLog(t, deaf.target())
	config.MaxFileBytes, config.Files = 1<<20, 2
	envoy.close()
	stop := keep(t, config, envoy)
	// Buffers of the kernel take some MB.
	testkit.Until(t, "lines are dropped", func() bool {
		envoy.asked = true
		envoy.reopen()
		envoy.log(1000)
		data, err := os.ReadFile(filepath.Join(config.Dir, stateFile))
		var done Progress
		return err == nil && json.Unmarshal(data, &done) == nil && done.Dropped > 0
	})
	if total := sizeOf(t, files{config.Dir}); total > 8<<20 {
		t.Errorf("the log has %d bytes", total)
	}
	stop()
}

// TestSenderOverDatagrams sends to a socket such as /dev/log.
func TestSenderOverDatagrams(t *testing.T) {
	path := filepath.Join(testkit.SocketDir(t), "log")
	socket, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	config, envoy := newLog(t, "unix:"+path)
	keep(t, config, envoy)
	envoy.log(1)
	buffer := make([]byte, 4096)
	_ = socket.SetReadDeadline(time.Now().Add(testkit.Patience))
	count, _, err := socket.ReadFrom(buffer)
	if err != nil || !bytes.HasSuffix(buffer[:count], []byte(logged(0))) {
		t.Errorf("got %s, %v", buffer[:count], err)
	}
}

func TestConfigTellsEverythingThatIsWrong(t *testing.T) {
	bad := Config{
		Dir: "log", MaxFileBytes: -1, Files: 1, Targets: []string{"udp:h:1", "http://h"}, Facility: 8, CertFile: "/a",
	}
	err := bad.Check()
	for _, key := range []string{"dir", "max_file_bytes", "files", "targets", "facility", "cert_file"} {
		if !regexp.MustCompile(`(?m)^access_log\.` + key + `: `).MatchString(fmt.Sprint(err)) {
			t.Errorf("%v lacks %s", err, key)
		}
	}
	good := Config{}
	good.SetDefaults("/run/a")
	if err := good.Check(); err != nil || good.Dir != "/run/a" || good.MaxFileBytes != 64<<20 || good.Files != 4 {
		t.Errorf("%+v, %v", good, err)
	}
	good.CAFile = filepath.Join(t.TempDir(), "none.pem")
	if _, err := good.tls(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("tls() = %v", err)
	}
}
