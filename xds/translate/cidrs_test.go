package translate

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// echoes reports whether bytes come back on a connection.
func echoes(connection net.Conn) bool {
	_ = connection.SetDeadline(time.Now().Add(testkit.Patience))
	if _, err := io.WriteString(connection, "bytes"); err != nil {
		return false
	}
	answer := make([]byte, 5)
	_, err := io.ReadFull(connection, answer)
	return err == nil && string(answer) == "bytes"
}

// reaches reports whether a client with that address is served by a TCP listener.
func reaches(t *testing.T, l *model.Listener, source string) bool {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	connection, err := dialer.DialContext(t.Context(), "tcp", place(l))
	if err != nil {
		return false
	}
	defer func() { _ = connection.Close() }()
	return echoes(connection)
}

// TestAllowedCIDRs checks who is served by listeners of each kind: the others are closed before a byte.
func TestAllowedCIDRs(t *testing.T) {
	echo := raw(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	lb := &model.LoadBalancer{Pools: []model.Pool{pool("echo", "TCP", echo), pool("web", "HTTP", named(t, "web"))}}
	for id, cidrs := range map[string][]string{
		"one": {"127.0.0.2/32"}, "net": {"192.0.2.0/24", "127.0.0.3/31", "127.0.1.0/24"}, "six": {"2001:db8::/32"}, "all": {"0.0.0.0/0", "::/0"},
		"mapped": {"::ffff:127.0.0.2/128"}, "http": {"127.0.0.2/32"},
	} {
		l := listener(t, id, "TCP", "echo")
		if id == "http" {
			l.Protocol, l.DefaultPoolID = "HTTP", "web"
		}
		l.AllowedCIDRs = cidrs
		lb.Listeners = append(lb.Listeners, l)
	}
	serve(t, lb)
	for id, allowed := range map[string][]string{
		"one": {"127.0.0.2"}, "net": {"127.0.0.2", "127.0.0.3", "127.0.1.9"}, "six": nil, "mapped": {"127.0.0.2"},
		"all": {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.1.9"},
	} {
		want := map[string]bool{}
		for _, source := range allowed {
			want[source] = true
		}
		for _, source := range []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.1.9"} {
			if got := reaches(t, lb.Listener(id), source); got != want[source] {
				t.Errorf("listener %s: that %s is served is %v", id, source, got)
			}
		}
	}
	web := lb.Listener("http")
	if got := spoken(t, web, dialFrom(t, web, "127.0.0.2", 0)); got != "web" {
		t.Errorf("got %q", got)
	}
	if got := drained(t, dialFrom(t, web, "127.0.0.3", 0)); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestAllowedCIDRsKeepConnections changes the CIDRs of a listener under open connections. Another listener, of which a
// filter changes, shows that connections which are to end have ended by then.
func TestAllowedCIDRsKeepConnections(t *testing.T) {
	echo := raw(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
	lb := &model.LoadBalancer{
		ID: "lb", VIPAddress: vip, AdminStateUp: true,
		Listeners: []model.Listener{listener(t, "web", "TCP", "echo"), listener(t, "other", "TCP", "echo")},
		Pools:     []model.Pool{pool("echo", "TCP", echo)},
	}
	web, other := &lb.Listeners[0], &lb.Listeners[1]
	publish := files(t, lb)
	version := 0
	// change publishes and waits until new connections see it and the connections of the other listener are drained.
	change := func(cidrs []string, served map[string]bool) {
		t.Helper()
		drains := dialFrom(t, other, vip, 0)
		if !echoes(drains) {
			t.Fatal("the other listener does not answer")
		}
		version++
		web.AllowedCIDRs, other.ConnectionLimit = cidrs, 1000+version
		publish(lb)
		for source, want := range served {
			for deadline := time.Now().Add(testkit.Patience); reaches(t, web, source) != want; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("with %q, that %s is served stays %v", cidrs, source, !want)
				}
			}
		}
		_, _ = io.Copy(io.Discard, drains)
	}
	all := map[string]bool{"127.0.0.2": true, "127.0.0.3": true}
	for source := range all {
		for deadline := time.Now().Add(testkit.Patience); !reaches(t, web, source) || !reaches(t, other, source); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("Envoy does not serve")
			}
		}
	}
	stay := []net.Conn{dialFrom(t, web, "127.0.0.2", 0), dialFrom(t, web, "127.0.0.3", 0)}
	for _, step := range []struct {
		cidrs  []string
		served map[string]bool
	}{
		{[]string{"127.0.0.2/32"}, map[string]bool{"127.0.0.2": true, "127.0.0.3": false}},
		{[]string{"127.0.0.2/32", "10.0.0.0/8"}, map[string]bool{"127.0.0.2": true, "127.0.0.3": false}},
		{[]string{"127.0.0.3/32"}, map[string]bool{"127.0.0.2": false, "127.0.0.3": true}},
		{nil, all},
	} {
		change(step.cidrs, step.served)
		for i, connection := range stay {
			if !echoes(connection) {
				t.Fatalf("with %q, the connection %d from before is closed", step.cidrs, i)
			}
		}
	}
}

// files runs a real Envoy that takes its listeners from a file, and returns what writes another version of them.
// A drained connection is closed after a second.
func files(t *testing.T, lb *model.LoadBalancer) func(*model.LoadBalancer) {
	t.Helper()
	dir := t.TempDir()
	version := 0
	write := func(lb *model.LoadBalancer) *bootstrapv3.Bootstrap {
		t.Helper()
		res, err := LoadBalancer(lb)
		if err != nil {
			t.Fatal(err)
		}
		static, err := Static(res)
		if err != nil {
			t.Fatal(err)
		}
		version++
		response := &discoveryv3.DiscoveryResponse{VersionInfo: strconv.Itoa(version)}
		for _, message := range static.GetStaticResources().GetListeners() {
			packed, err := anypb.New(message)
			if err != nil {
				t.Fatal(err)
			}
			response.Resources = append(response.Resources, packed)
		}
		document, err := protojson.Marshal(response)
		if err != nil {
			t.Fatal(err)
		}
		// Envoy watches for the rename.
		if err := os.WriteFile(filepath.Join(dir, "new"), document, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "lds.json")); err != nil {
			t.Fatal(err)
		}
		static.StaticResources.Listeners = nil
		return static
	}
	bootstrap := write(lb)
	bootstrap.Node = &corev3.Node{Id: "node", Cluster: "cluster"}
	bootstrap.DynamicResources = &bootstrapv3.Bootstrap_DynamicResources{LdsConfig: &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
			PathConfigSource: &corev3.PathConfigSource{Path: filepath.Join(dir, "lds.json")},
		},
	}}
	document, err := protojson.Marshal(bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(name, document, 0o600); err != nil {
		t.Fatal(err)
	}
	envoybin.Start(t, name, "--drain-time-s", "1", "--drain-strategy", "immediate")
	return func(lb *model.LoadBalancer) { write(lb) }
}
