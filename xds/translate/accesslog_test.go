package translate

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// line is a line of an access log.
type line map[string]any

func (l line) number(name string) int {
	value, ok := l[name].(float64)
	if !ok {
		return -1
	}
	return int(value)
}

// serveLogged is serve with an access log, which it returns the path of. What is there already becomes the log.
func serveLogged(t *testing.T, lb *model.LoadBalancer, prepare func(path string)) string {
	t.Helper()
	lb.ID, lb.ProjectID, lb.VIPAddress, lb.AdminStateUp = "lb", "project%1", vip, true
	lb.Flavor = maps.Clone(lb.Flavor)
	if lb.Flavor == nil {
		lb.Flavor = map[string]any{}
	}
	lb.Flavor["access_log"] = true
	res, err := LoadBalancer(lb)
	if err != nil {
		t.Fatal(err)
	}
	config := writeStatic(t, res)
	path := filepath.Join(filepath.Dir(config), AccessLogFile)
	if prepare != nil {
		prepare(path)
	}
	envoybin.Start(t, config, "--file-flush-interval-msec", "20")
	for i := range lb.Listeners {
		listening(t, &lb.Listeners[i])
	}
	return path
}

// listening waits until a listener is there, without a connection that would be logged.
func listening(t *testing.T, l *model.Listener) {
	t.Helper()
	table := "tcp"
	if l.Protocol == model.ProtocolUDP {
		table = "udp"
	}
	place := fmt.Sprintf("0100007F:%04X 00000000:0000 ", l.ProtocolPort)
	testkit.Until(t, "listener "+l.ID, func() bool {
		sockets, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(sockets), place+"0A") || (table == "udp" && strings.Contains(string(sockets), place))
	})
}

// logged waits until a log has as many lines, each of which has to be JSON.
func logged(t *testing.T, path string, count int) []line {
	t.Helper()
	var lines []line
	testkit.Eventually(t, func() error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if have := bytes.Count(data, []byte("\n")); have < count {
			return fmt.Errorf("%d lines of %d", have, count)
		}
		lines = nil
		for text := range bytes.Lines(data) {
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			lines = append(lines, l)
		}
		return nil
	})
	if len(lines) != count {
		t.Fatalf("%d lines, want %d: %v", len(lines), count, lines)
	}
	return lines
}

// sameFields compares the fields of a line that are named in want; a nil is a field that is there and null.
func sameFields(t *testing.T, what string, got line, want map[string]any) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		value, ok := got[name]
		if number, is := want[name].(int); is {
			want[name] = float64(number)
		}
		if !ok || value != want[name] {
			t.Errorf("%s: %s is %v, want %v", what, name, value, want[name])
		}
	}
}

func port(t *testing.T, address net.Addr) int {
	t.Helper()
	switch address := address.(type) {
	case *net.TCPAddr:
		return address.Port
	case *net.UDPAddr:
		return address.Port
	}
	t.Fatalf("%T has no port", address)
	return 0
}

// TestAccessLogOfHTTP holds the lines against the requests.
func TestAccessLogOfHTTP(t *testing.T) {
	web := listener(t, "web", "HTTP", "blue")
	reject := model.L7Rule{ID: "path", AdminStateUp: true, Type: model.L7TypePath, CompareType: model.L7CompareEqualTo, Value: "/deny"}
	web.L7Policies = []model.L7Policy{{
		ID: "deny", AdminStateUp: true, Action: model.L7ActionReject, Position: 1, Rules: []model.L7Rule{reject},
	}}
	empty, member := listener(t, "empty", "HTTP", "none"), server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "answer")
	})
	lb := &model.LoadBalancer{
		Listeners: []model.Listener{web, empty}, Pools: []model.Pool{pool("blue", "HTTP", member), pool("none", "HTTP")},
	}
	path := serveLogged(t, lb, nil)
	begin := time.Now().Add(-time.Millisecond).Truncate(time.Millisecond)
	requests := []string{
		"POST /a?token=hush HTTP/1.1\r\nHost: www.example\r\nUser-Agent: agent \"1\"\r\nReferer: https://from.example/b?token=hush\r\n" +
			"X-Request-Id: id-1\r\nAuthorization: Bearer hush\r\nCookie: session=hush\r\nProxy-Authorization: hush\r\n" +
			"Content-Length: 4\r\nConnection: close\r\n\r\nbody",
		"GET /deny?token=hush HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n",
	}
	ports := make([]int, 0, len(requests)+1)
	for i, request := range append(requests, "GET /c HTTP/1.0\r\n\r\n") {
		to := &web
		if i == len(requests) {
			to = &empty
		}
		connection := dial(t, to)
		ports = append(ports, port(t, connection.LocalAddr()))
		if _, err := io.WriteString(connection, request); err != nil {
			t.Fatal(err)
		}
		answer := drained(t, connection)
		got := logged(t, path, i+1)[i]
		if got.number("bytes_out") != len(answer) || got.number("bytes_in") != len(request) {
			t.Errorf("%s: %d bytes in and %d out, were %d and %d", request, got.number("bytes_in"), got.number("bytes_out"), len(request), len(answer))
		}
	}
	if data, err := os.ReadFile(path); err != nil || bytes.Contains(data, []byte("hush")) {
		t.Errorf("a secret is in the log: %s, %v", data, err)
	}
	lines := logged(t, path, 3)
	for i, want := range []map[string]any{
		{
			"listener_id": "web", "pool_id": "blue", "member_id": "blue0", "member_address": member, "l7policy_id": nil,
			"request_id": "id-1", "method": "POST", "host": "www.example", "path": "/a", "http_version": "HTTP/1.1", "status": 201,
			"flags": "-", "status_details": "via_upstream", "user_agent": `agent "1"`, "referer": "https://from.example/b",
			"request_body_bytes": 4, "response_body_bytes": 6, "attempts": 1, "connection_id": 0,
		},
		{
			"listener_id": "web", "pool_id": nil, "member_id": nil, "member_address": nil, "l7policy_id": "deny", "request_id": nil,
			"method": "GET", "path": "/deny", "status": 403, "status_details": "direct_response", "first_byte_ms": nil, "connect_ms": nil,
			"connection_id": 2, // 1 is the member's.
		},
		{
			"listener_id": "empty", "pool_id": "none", "member_id": nil, "status": 503, "flags": "UH", "http_version": "HTTP/1.0",
			"status_details": "no_healthy_upstream",
		},
	} {
		maps.Copy(want, map[string]any{
			"project_id": "project%1", "loadbalancer_id": "lb", "listener_protocol": "HTTP", "client_address": vip, "client_port": ports[i],
			"vip_address": vip, "tls_version": nil, "tls_cipher": nil, "tls_server_name": nil,
			"client_certificate_subject": nil, "client_certificate_serial": nil, "member_failure": nil, "termination_details": nil,
		})
		what := fmt.Sprintf("line %d", i)
		sameFields(t, what, lines[i], want)
		sameNames(t, lines[i], func(f AccessLogField) string { return f.HTTP })
		text, _ := lines[i]["time"].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.Before(begin) || at.After(time.Now()) || len(text) != len("2006-01-02T15:04:05.000Z") {
			t.Errorf("%s is of %q, %v", what, text, err)
		}
		if lines[i].number("duration_ms") < 0 {
			t.Errorf("%s: the duration is %v", what, lines[i]["duration_ms"])
		}
	}
	if first := lines[0]; first.number("first_byte_ms") < 0 || first.number("first_byte_ms") > first.number("duration_ms") || first.number("connect_ms") < 0 {
		t.Errorf("times are %v, %v and %v", first["connect_ms"], first["first_byte_ms"], first["duration_ms"])
	}
}

// sameNames holds a line against the fields of its protocol.
func sameNames(t *testing.T, got line, format func(AccessLogField) string) {
	t.Helper()
	want := map[string]bool{}
	for _, field := range AccessLogFields() {
		if format(field) != "" {
			want[field.Name] = true
		}
	}
	have := map[string]bool{}
	for name := range got {
		have[name] = true
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

// TestAccessLogWhereTLSEnds has lines of requests for TERMINATED_HTTPS listeners, over TCP and QUIC, and for PROMETHEUS.
func TestAccessLogWhereTLSEnds(t *testing.T) {
	web := secure(t, "web", "blue", pki.New(t, "root").Issue(pki.Options{Names: []string{"x.example"}}))
	metrics := listener(t, "metrics", model.ProtocolPrometheus, "")
	member := server(t, func(http.ResponseWriter, *http.Request) {})
	path := serveLogged(t, &model.LoadBalancer{
		Flavor: map[string]any{"http3": true}, Listeners: []model.Listener{web, metrics}, Pools: []model.Pool{pool("blue", "HTTP", member)},
	}, nil)
	config := &tls.Config{ServerName: "x.example", InsecureSkipVerify: true}
	if _, err := shake(t, &web, config); err != nil {
		t.Fatal(err)
	}
	logged(t, path, 1)
	if _, _, err := overHTTP3(t, &web, config); err != nil {
		t.Fatal(err)
	}
	logged(t, path, 2)
	if _, err := io.WriteString(dial(t, &metrics), "GET /metrics?token=hush HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	lines := logged(t, path, 3)
	for i, want := range []map[string]any{
		{"listener_id": "web", "listener_protocol": "TERMINATED_HTTPS", "http_version": "HTTP/1.1", "tls_version": "TLSv1.3", "tls_server_name": "x.example"},
		{"listener_id": "web", "listener_protocol": "TERMINATED_HTTPS", "http_version": "HTTP/3", "tls_version": "TLSv1.3", "tls_server_name": "x.example"},
		{"listener_id": "metrics", "listener_protocol": "PROMETHEUS", "path": "/metrics", "tls_version": nil},
	} {
		if want["listener_id"] == "web" {
			maps.Copy(want, map[string]any{"path": "/", "pool_id": "blue", "member_id": "blue0", "status": 200})
		}
		maps.Copy(want, map[string]any{"method": "GET", "client_address": vip, "vip_address": vip})
		sameFields(t, fmt.Sprintf("line %d", i), lines[i], want)
		sameNames(t, lines[i], func(f AccessLogField) string { return f.HTTP })
	}
}

// TestAccessLogHasTheRequestID that the member sees, whoever made it.
func TestAccessLogHasTheRequestID(t *testing.T) {
	seen := make(chan string, 1)
	member := server(t, func(_ http.ResponseWriter, request *http.Request) { seen <- request.Header.Get("X-Request-Id") })
	for _, setting := range []string{"keep", "replace"} {
		web := listener(t, "web", "HTTP", "blue")
		path := serveLogged(t, &model.LoadBalancer{
			Flavor: map[string]any{"request_id": setting}, Listeners: []model.Listener{web}, Pools: []model.Pool{pool("blue", "HTTP", member)},
		}, nil)
		ask(t, &web, "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\n\r\n")
		id := <-seen
		if (id == "mine") != (setting == "keep") || id == "" {
			t.Errorf("%s: the member sees %q", setting, id)
		}
		sameFields(t, setting, logged(t, path, 1)[0], map[string]any{"request_id": id})
	}
}

// TestAccessLogOfHostileRequests is about clients that try to write the log themselves, and to fill it.
func TestAccessLogOfHostileRequests(t *testing.T) {
	web := listener(t, "web", "HTTP", "blue")
	web.L7Policies = []model.L7Policy{rejects("odd")}
	path := serveLogged(t, &model.LoadBalancer{
		Listeners: []model.Listener{web}, Pools: []model.Pool{pool("blue", "HTTP", named(t, "blue"))},
	}, nil)
	long := strings.Repeat("\xff\x80\xc3\xa9", 4000)
	hostile := []string{
		`","status":200,"x":"`, "\\", "\\\"", "{}", "%REQ(authorization)%", "%%", "\xff\xfe", "\xc3", "\xc3\xa9", "\u2028", "<script>", long,
		strings.Repeat(`"`, 4000), strings.Repeat("\\", 4000), strings.Repeat("é", 300),
	}
	for _, value := range hostile {
		request := "GET /" + strings.Repeat("a", 20) + " HTTP/1.1\r\nHost: h\r\nUser-Agent: " + value + "\r\nX-Request-Id: " + value +
			"\r\nReferer: http://h/" + value + "?" + value + "\r\nAuthorization: hush\r\nConnection: close\r\n\r\n"
		ask(t, &web, request)
	}
	// In the path, Envoy lets some of that through.
	for _, value := range []string{`/","status":200,"x":"`, `/\`, `/"`, "/%00%0a%22", "/%REQ(authorization)%", "/<script>", "/" + strings.Repeat(`"`, 4000)} {
		ask(t, &web, "GET "+value+" HTTP/1.1\r\nHost: h\r\nAuthorization: hush\r\nConnection: close\r\n\r\n")
	}
	// Not HTTP at all.
	for _, value := range []string{"\x00\x01\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost: \"\r\n\r\n", "GET / HTTP/1.1\r\nHost: h\r\nA\x00: b\r\n\r\n"} {
		connection := dial(t, &web)
		if _, err := io.WriteString(connection, value); err != nil {
			t.Fatal(err)
		}
		drained(t, connection)
	}
	lines := logged(t, path, len(hostile)+7+4)
	for i, got := range lines {
		sameNames(t, got, func(f AccessLogField) string { return f.HTTP })
		sameFields(t, fmt.Sprintf("line %d", i), got, map[string]any{"project_id": "project%1", "loadbalancer_id": "lb", "listener_id": "web"})
		if i >= len(hostile)+7 {
			sameFields(t, "a bad request", got, map[string]any{"status": 400, "flags": "DPE"})
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte("hush")) {
		t.Errorf("a secret is in the log, %v", err)
	}
	for text := range bytes.Lines(data) {
		// Six bytes in JSON for one of a client's, and what is Envoy's.
		if len(text) > 6*(32+255+1024+512+512+128)+2048 {
			t.Errorf("a line of %d bytes", len(text))
		}
	}
}

// TestAccessLogOfConnections holds the lines of TCP, HTTPS and UDP against what the client did.
func TestAccessLogOfConnections(t *testing.T) {
	echo := raw(t, func(c net.Conn) {
		buffer := make([]byte, 5)
		_, _ = io.ReadFull(c, buffer)
		_, _ = c.Write(append(buffer, "!!"...))
	})
	datagram := datagrams(t, "one")
	tcp, https, udp := listener(t, "tcp", "TCP", "tcp"), listener(t, "https", "HTTPS", "https"), listener(t, "udp", "UDP", "udp")
	gone, full := listener(t, "gone", "TCP", "gone"), listener(t, "full", "TCP", "tcp")
	full.ConnectionLimit, udp.TimeoutClientData, udp.TimeoutMemberData = 1, 100, 100
	lb := &model.LoadBalancer{
		Listeners: []model.Listener{tcp, https, udp, gone, full},
		Pools: []model.Pool{
			pool("tcp", "TCP", echo), pool("https", "HTTPS", echo), pool("udp", "UDP", datagram), pool("gone", "TCP", dead(t)),
		},
	}
	path := serveLogged(t, lb, nil)
	count := 0
	check := func(l *model.Listener, client net.Addr, want map[string]any) line {
		t.Helper()
		got := logged(t, path, count+1)[count]
		count++
		maps.Copy(want, map[string]any{
			"project_id": "project%1", "loadbalancer_id": "lb", "listener_id": l.ID, "listener_protocol": l.Protocol, "vip_address": vip,
			"client_address": vip, "client_port": port(t, client),
		})
		sameFields(t, l.ID, got, want)
		sameNames(t, got, func(f AccessLogField) string { return f.format(l.Protocol) })
		return got
	}

	connection := dial(t, &tcp)
	_, _ = io.WriteString(connection, "hello")
	drained(t, connection)
	_ = connection.Close()
	check(&tcp, connection.LocalAddr(), map[string]any{
		"pool_id": "tcp", "member_id": "tcp0", "member_address": echo, "bytes_in": 5, "bytes_out": 7, "flags": "-", "attempts": 1,
		"tls_server_name": nil,
	})

	connection = dial(t, &https)
	_ = tls.Client(connection, &tls.Config{ServerName: "www.example", MinVersion: tls.VersionTLS12}).Handshake() // the member speaks none
	_ = connection.Close()
	check(&https, connection.LocalAddr(), map[string]any{
		"pool_id": "https", "member_id": "https0", "bytes_out": 7, "tls_server_name": "www.example", "tls_version": nil,
	})
	connection = dial(t, &https)
	_, _ = io.WriteString(connection, "hello") // not TLS, and served all the same
	if got := drained(t, connection); got != "hello!!" {
		t.Errorf("who speaks no TLS gets %q", got)
	}
	_ = connection.Close()
	check(&https, connection.LocalAddr(), map[string]any{"pool_id": "https", "bytes_in": 5, "bytes_out": 7, "tls_server_name": nil})

	connection = dial(t, &gone)
	drained(t, connection)
	got := check(&gone, connection.LocalAddr(), map[string]any{
		"pool_id": "gone", "member_id": "gone0", "member_address": nil, "flags": "UF,URX", "attempts": 4, "bytes_out": 0,
	})
	if reason, _ := got["member_failure"].(string); !strings.Contains(reason, "refused") {
		t.Errorf("a member that nobody listens at: %q", reason)
	}

	connection = dial(t, &full)
	if _, err := io.WriteString(connection, "hel"); err != nil {
		t.Fatal(err)
	}
	testkit.Until(t, "a connection above the limit is closed", func() bool {
		above := dial(t, &full)
		_ = above.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, err := above.Read(make([]byte, 1))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false // the first one has not been counted yet
		}
		check(&full, above.LocalAddr(), map[string]any{"member_id": nil, "bytes_out": 0})
		return true
	})

	client := udpClient(t, &udp, vip)
	told(t, &udp, client)
	got = check(&udp, client.LocalAddr(), map[string]any{"pool_id": "udp", "member_id": "udp0", "member_address": datagram, "flags": "-"})
	if sent, back := got.number("bytes_in"), got.number("bytes_out"); sent < 1 || back != 3*sent {
		t.Errorf("a session of %d bytes in, %d out", sent, back)
	}
}

// TestNoAccessLog: without the flavor, or with one that says no, there is nothing of it.
func TestNoAccessLog(t *testing.T) {
	for _, dir := range cases(t) {
		tree := readTree(t, dir)
		if tree.Flavor["access_log"] == true {
			continue
		}
		plain, _ := LoadBalancer(tree)
		want, err := YAML(plain)
		if err != nil {
			t.Fatal(err)
		}
		for _, sign := range []string{"access_log:", "tls_inspector", "octavia:pool"} {
			// Where TLS ends, the inspector may be there for another reason, see filterChains.
			if strings.Contains(want, sign) && !strings.Contains(want, "DownstreamTlsContext") {
				t.Errorf("%s has %s", dir, sign)
			}
		}
		tree.Flavor = maps.Clone(tree.Flavor)
		if tree.Flavor == nil {
			tree.Flavor = map[string]any{}
		}
		tree.Flavor["access_log"] = false
		off, _ := LoadBalancer(tree)
		if got, err := YAML(off); err != nil || got != want {
			t.Errorf("%s differs with access_log: false, %v", dir, err)
		}
	}
}

// TestWhatAChangeTouchesWithAnAccessLog: as without, no change of pools, members or policies touches a listener.
func TestWhatAChangeTouchesWithAnAccessLog(t *testing.T) {
	base := func() *model.LoadBalancer {
		return decodeTree(t, []byte(`{"loadbalancer_id": "lb", "vip_address": "192.0.2.10", "flavor": {"access_log": true},
			"listeners": [
				{"listener_id": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool_id": "blue"},
				{"listener_id": "db", "protocol": "TCP", "protocol_port": 3306, "default_pool_id": "blue"}],
			"pools": [
				{"pool_id": "blue", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
				 "members": [{"member_id": "m1", "address": "198.51.100.1", "protocol_port": 80}]},
				{"pool_id": "green", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": []}]}`))
	}
	for name, test := range map[string]struct {
		change func(*model.LoadBalancer)
		want   map[string]bool
	}{
		"a member more": {func(lb *model.LoadBalancer) {
			lb.Pools[0].Members = append(lb.Pools[0].Members,
				model.Member{ID: "m2", Address: "198.51.100.2", ProtocolPort: 80, Weight: 1, AdminStateUp: true})
		}, map[string]bool{"changed blue@": true, "changed tcp:db@": true}},
		"HTTP: a pool":   {func(lb *model.LoadBalancer) { lb.Listeners[0].DefaultPoolID = "green" }, map[string]bool{"changed web": true}},
		"TCP: a pool":    {func(lb *model.LoadBalancer) { lb.Listeners[1].DefaultPoolID = "green" }, map[string]bool{"changed tcp:db@": true}},
		"HTTP: a policy": {func(lb *model.LoadBalancer) { lb.Listeners[0].L7Policies = []model.L7Policy{rejects("a")} }, map[string]bool{"changed web": true}},
	} {
		tree := base()
		test.change(tree)
		if diff := cmp.Diff(test.want, changes(translated(t, base()), translated(t, tree))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
