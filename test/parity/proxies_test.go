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
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
	"github.com/octavia-envoy/octavia-envoy/test/haproxy"
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
	t            *testing.T
	renderer     *haproxy.Renderer
	certificates *certificates
	members      *recorder
	haproxy      string
	envoy        string
	// senders numbers the senders, in all tests.
	senders *int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	c := newCertificates(t)
	return &bench{
		t: t, renderer: haproxy.StartRenderer(t), certificates: c, members: startMembers(t, c), haproxy: haproxy.Path(t), envoy: envoybin.Path(t), senders: new(int),
	}
}

// in is the bench for another test.
func (b *bench) in(t *testing.T) *bench {
	other := *b
	other.t = t
	return &other
}

// global is the process that the amphora agent would run, but for users, places and limits of an amphora. Octavia sets
// nbthread to one less than the amphora's processors, at least one.
const global = "global\n    maxconn 2000\n    nbthread 1\n\n"

// octaviaCertificates is where an amphora has its certificates, in a folder for each load balancer.
const octaviaCertificates = "/var/lib/octavia/certs"

// batch runs one HAProxy and one Envoy with these load balancers. stop ends both.
func (b *bench) batch(lbs []*model.LoadBalancer) (sites []*site, stop func()) {
	b.t.Helper()
	dir := b.t.TempDir()
	haproxyConfig := bytes.NewBufferString(global)
	static := &bootstrapv3.Bootstrap{StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}
	clusters := map[string]bool{}
	for i, lb := range lbs {
		haproxy, envoy := at(lb, i, false), at(lb, i, true)
		b.certificates.fill(haproxy)
		b.certificates.fill(envoy)
		must(b.t, b.certificates.write(haproxy, filepath.Join(dir, haproxy.ID)))
		s := &site{lb: lb, haproxy: b.sender(haproxy, i, "h"), envoy: b.sender(envoy, i, "e")}
		config, err := b.renderer.Render(haproxy)
		if err != nil {
			b.t.Fatalf("Octavia does not render: %v\n%s", err, (&testCase{LoadBalancer: lb}).String())
		}
		s.config = config
		haproxyConfig.WriteString(strings.ReplaceAll(config, octaviaCertificates, dir))
		resources, err := translate.LoadBalancer(envoy)
		if err != nil {
			b.t.Fatalf("capabilities accept what the translator does not: %v\n%s", err, (&testCase{LoadBalancer: lb}).String())
		}
		one, err := translate.Static(resources)
		must(b.t, err)
		for _, cluster := range one.GetStaticResources().GetClusters() {
			if !clusters[cluster.GetName()] { // some are in every amphora, and here it is one for all
				static.StaticResources.Clusters = append(static.StaticResources.Clusters, cluster)
			}
			clusters[cluster.GetName()] = true
		}
		static.StaticResources.Secrets = append(static.StaticResources.Secrets, one.GetStaticResources().GetSecrets()...)
		static.LayeredRuntime = one.GetLayeredRuntime()
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
				processes[0].waitFor(b.t, netip.AddrPortFrom(s.haproxy.vips[0], uint16(listener.ProtocolPort)))
				processes[1].waitFor(b.t, netip.AddrPortFrom(s.envoy.vips[0], uint16(listener.ProtocolPort)))
			}
		}
	}
	return sites, stop
}

// sender returns what sends to a proxy that has the load balancer, the number-th of its batch.
func (b *bench) sender(lb *model.LoadBalancer, number int, prefix string) *sender {
	*b.senders++
	return &sender{vips: addressesOf(lb), number: number, seen: b.members, certificates: b.certificates, prefix: fmt.Sprintf("%s%d-", prefix, *b.senders)}
}

var anyID = regexp.MustCompile(`"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"`)

// at returns a copy of the load balancer with other VIPs, and with ids that no other of the batch has: those may be
// smaller ones of the same.
func at(lb *model.LoadBalancer, number int, envoy bool) *model.LoadBalancer {
	copied := changed(lb, func(document []byte) []byte {
		return anyID.ReplaceAllFunc(document, func(id []byte) []byte { return fmt.Appendf(nil, "%s%04x\"", id[:len(id)-5], number) })
	})
	for i, address := range addressesOf(lb) {
		other := vip(number, i, isSix(address), envoy).String()
		if i == 0 {
			copied.VIPAddress = other
		} else {
			copied.AdditionalVIPs[i-1].IPAddress = other
		}
	}
	return copied
}

// addressesOf returns the VIPs of a load balancer.
func addressesOf(lb *model.LoadBalancer) []netip.Addr {
	all := []netip.Addr{netip.MustParseAddr(lb.VIPAddress)}
	for _, each := range lb.AdditionalVIPs {
		all = append(all, netip.MustParseAddr(each.IPAddress))
	}
	return all
}

func isSix(address netip.Addr) bool  { return address.Is6() }
func isFour(address netip.Addr) bool { return address.Is4() }

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

// try sends an exchange to both proxies at once.
func (s *site) try(ctx context.Context, x *exchange) *trial {
	t := &trial{lb: s.lb, exchange: x}
	port := t.listener().ProtocolPort
	done := make(chan struct{})
	go func() {
		t.envoy = s.envoy.run(ctx, x, port)
		close(done)
	}()
	if !s.lb.AdminStateUp || !t.listener().AdminStateUp || allows(t.listener(), client(x.Client, s.haproxy.vips[x.VIP].Is6())) {
		t.haproxy = s.haproxy.run(ctx, x, port)
		<-done
		if x.TLS == nil && t.listener().Protocol == model.ProtocolTerminatedHTTPS {
			// Which of the two a client gets that does not speak TLS is decided by how much of it has been read.
			for _, o := range []*outcome{t.haproxy, t.envoy} {
				for i := range o.Steps {
					o.Steps[i].End = strings.ReplaceAll(o.Steps[i].End, "reset", "closed")
				}
			}
		}
		return t
	}
	// In an amphora a security group drops what comes from others. Envoy closes the connection.
	<-done
	t.haproxy = &outcome{Connect: "not allowed"}
	if !slices.ContainsFunc(t.envoy.Steps, func(s step) bool { return s.Response != nil || len(s.Seen) > 0 || s.End == "timeout" }) {
		t.envoy = t.haproxy
	}
	return t
}

// allows reports whether a listener serves a client.
func allows(l *model.Listener, client netip.Addr) bool {
	return len(l.AllowedCIDRs) == 0 || slices.ContainsFunc(l.AllowedCIDRs, func(cidr string) bool {
		return netip.MustParsePrefix(cidr).Contains(client)
	})
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
