package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// site is one load balancer, served by both proxies.
type site struct {
	lb             *model.LoadBalancer
	haproxy, envoy *sender
	// config is what Octavia rendered, for the report.
	config string
}

// bench is what all batches share.
type bench struct {
	t        *testing.T
	renderer *renderer
	members  *recorder
	haproxy  string
	envoy    string
	ids      int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return &bench{
		t: t, renderer: startRenderer(t), members: startMembers(t), haproxy: haproxyPath(t), envoy: envoybin.Path(t),
	}
}

// global is the process that the amphora agent would run, but for users, places and limits of an amphora. Octavia sets
// nbthread to one less than the amphora's processors, at least one.
const global = "global\n    maxconn 2000\n    nbthread 1\n\n"

// batch runs one HAProxy and one Envoy with these load balancers. stop ends both.
func (b *bench) batch(lbs []*model.LoadBalancer) (sites []*site, stop func()) {
	b.t.Helper()
	dir := b.t.TempDir()
	haproxyConfig := bytes.NewBufferString(global)
	static := &bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}
	for i, lb := range lbs {
		s := &site{lb: lb, haproxy: b.sender(vip(i, isSix(lb), false), "h"), envoy: b.sender(vip(i, isSix(lb), true), "e")}
		config, err := b.renderer.render(at(lb, i, s.haproxy.vip))
		if err != nil {
			b.t.Fatalf("Octavia does not render: %v\n%s", err, treeYAML(lb))
		}
		s.config = config
		haproxyConfig.WriteString(config)
		resources, err := translate.LoadBalancer(at(lb, i, s.envoy.vip))
		if err != nil {
			b.t.Fatalf("capabilities accept what the translator does not: %v\n%s", err, treeYAML(lb))
		}
		one, err := translate.Static(resources)
		must(b.t, err)
		static.StaticResources.Clusters = append(static.StaticResources.Clusters, one.GetStaticResources().GetClusters()...)
		static.StaticResources.Listeners = append(static.StaticResources.Listeners, one.GetStaticResources().GetListeners()...)
		sites = append(sites, s)
	}
	document, err := protojson.Marshal(static)
	must(b.t, err)
	haproxyFile, envoyFile := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "envoy.json")
	must(b.t, os.WriteFile(haproxyFile, haproxyConfig.Bytes(), 0o600))
	must(b.t, os.WriteFile(envoyFile, document, 0o600))
	processes := []*process{
		b.start(b.haproxy, "-db", "-f", haproxyFile),
		b.start(b.envoy, "-c", envoyFile, "--disable-hot-restart", "--concurrency", "1", "-l", "warn"),
	}
	stop = func() {
		for _, p := range processes {
			_ = p.command.Process.Kill()
			<-p.done
		}
	}
	for _, s := range sites {
		for i := range s.lb.Listeners {
			if listener := &s.lb.Listeners[i]; s.lb.AdminStateUp && listener.AdminStateUp {
				processes[0].waitFor(b.t, netip.AddrPortFrom(s.haproxy.vip, uint16(listener.ProtocolPort)))
				processes[1].waitFor(b.t, netip.AddrPortFrom(s.envoy.vip, uint16(listener.ProtocolPort)))
			}
		}
	}
	return sites, stop
}

func (b *bench) sender(address netip.Addr, prefix string) *sender {
	b.ids++
	return &sender{vip: address, seen: b.members, prefix: fmt.Sprintf("%s%d-", prefix, b.ids)}
}

var anyID = regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"`)

// at returns a copy of the load balancer with another VIP, and with ids that no other of the batch has: those may be
// smaller ones of the same.
func at(lb *model.LoadBalancer, number int, address netip.Addr) *model.LoadBalancer {
	copied := changed(lb, func(document []byte) []byte {
		return anyID.ReplaceAllFunc(document, func(id []byte) []byte { return fmt.Appendf(nil, "%s%04x\"", id[:len(id)-5], number) })
	})
	copied.VIPAddress = address.String()
	return copied
}

func clone(lb *model.LoadBalancer) *model.LoadBalancer {
	return changed(lb, func(document []byte) []byte { return document })
}

// changed returns a copy that went through JSON.
func changed(lb *model.LoadBalancer, change func(document []byte) []byte) *model.LoadBalancer {
	document, err := json.Marshal(lb)
	if err != nil {
		panic(err)
	}
	document = change(document)
	copied := new(model.LoadBalancer)
	if err := json.Unmarshal(document, copied); err != nil {
		panic(err)
	}
	return copied
}

func isSix(lb *model.LoadBalancer) bool { return strings.Contains(lb.VIPAddress, ":") }

// process is a running proxy.
type process struct {
	command *exec.Cmd
	output  bytes.Buffer
	done    chan struct{}
}

func (b *bench) start(name string, arguments ...string) *process {
	b.t.Helper()
	p := &process{command: exec.Command(name, arguments...), done: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = &p.output, &p.output
	must(b.t, p.command.Start())
	go func() {
		_ = p.command.Wait()
		close(p.done)
	}()
	b.t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.done
	})
	return p
}

// waitFor waits until the proxy listens, without a connection that it would have to serve.
func (p *process) waitFor(t *testing.T, place netip.AddrPort) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !listens(place) {
		select {
		case <-p.done:
			t.Fatalf("%s ended:\n%s", p.command.Path, p.output.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = p.command.Process.Kill()
			<-p.done
			t.Fatalf("%s does not listen on %s:\n%s", p.command.Path, place, p.output.String())
		}
	}
}

func listens(place netip.AddrPort) bool {
	family, address := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Port: int(place.Port()), Addr: [4]byte(place.Addr().AsSlice()[:4])})
	if place.Addr().Is6() {
		family, address = syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(place.Port()), Addr: place.Addr().As16()}
	}
	socket, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = syscall.Close(socket) }()
	return syscall.Connect(socket, address) == nil
}

// try sends an exchange to both proxies.
func (s *site) try(ctx context.Context, x *exchange) *trial {
	port := s.lb.Listeners[x.Listener].ProtocolPort
	return &trial{
		lb: s.lb, exchange: x, haproxy: s.haproxy.run(ctx, x, port), envoy: s.envoy.run(ctx, x, port),
	}
}
