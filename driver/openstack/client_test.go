package openstack_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/openstack"
)

// cloud answers as Keystone does, and as a service that wants the last token.
type cloud struct {
	*httptest.Server

	mu sync.Mutex
	// down makes Keystone answer 503.
	down bool
	// password is the one that Keystone takes; token is the last one it gave.
	password, token string
	logins          int
	// services are the types in the catalogue.
	services []string
	// reached, unless nil, is told of a login, which then waits for it to be closed.
	reached chan struct{}
}

func newCloud(t *testing.T, start func(http.Handler) *httptest.Server) *cloud {
	t.Helper()
	c := &cloud{password: "first", services: []string{"network", "load-balancer"}}
	c.Server = start(c)
	t.Cleanup(c.Close)
	return c
}

// credentials are the right ones, until the password is changed.
func (c *cloud) credentials(t *testing.T) openstack.Credentials {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "first\n")
	return openstack.Credentials{
		AuthURL: c.URL + "/v3", Username: "octavia", PasswordFile: file, ProjectName: "service",
		UserDomainName: "Default", ProjectDomainName: "Default", Region: "RegionOne",
	}
}

func (c *cloud) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.reached != nil {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		c.reached <- struct{}{}
		<-r.Context().Done()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/public/"), strings.HasSuffix(r.URL.Path, "/internal/"):
		_, _ = w.Write([]byte(`{"versions": [{"id": "v2.0", "status": "CURRENT", "links": []}]}`))
	case !strings.HasPrefix(r.URL.Path, "/v3/auth/tokens"):
		if r.Header.Get("X-Auth-Token") != c.token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte("{}"))
	case c.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		c.login(w, r)
	}
}

func (c *cloud) login(w http.ResponseWriter, r *http.Request) {
	c.logins++
	var body struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct{ Name, Password string }
				}
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Auth.Identity.Password.User.Password != c.password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var catalog []any
	for _, kind := range c.services {
		for _, side := range []string{"public", "internal"} {
			catalog = append(catalog, map[string]any{"type": kind, "name": kind, "endpoints": []any{map[string]any{
				"interface": side, "region": "RegionOne", "region_id": "RegionOne", "url": c.URL + "/" + kind + "/" + side,
			}}})
		}
	}
	c.token = fmt.Sprintf("token-%d", c.logins)
	w.Header().Set("X-Subject-Token", c.token)
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": map[string]any{"catalog": catalog}})
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// use makes a request of a service.
func use(t *testing.T, service *gophercloud.ServiceClient) error {
	t.Helper()
	_, err := service.Get(t.Context(), service.ServiceURL("things"), nil, nil) //nolint:bodyclose // gophercloud closes it
	return err
}

func TestKeystoneDownAtFirst(t *testing.T) {
	c := newCloud(t, httptest.NewServer)
	c.down = true
	client := openstack.New(c.credentials(t))
	for range 2 {
		if _, err := client.Network(t.Context()); err == nil || !strings.Contains(err.Error(), "octavia@service at "+c.URL) {
			t.Errorf("while it is down: %v", err)
		}
	}
	c.set(func() { c.down = false })
	network, err := client.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := use(t, network); err != nil {
		t.Error(err)
	}
	if want := c.URL + "/network/public/v2.0/"; network.ResourceBase != want {
		t.Errorf("Neutron is at %s, want %s", network.ResourceBase, want)
	}
}

func TestNothingIsAskedAtFirst(t *testing.T) {
	openstack.New(openstack.Credentials{AuthURL: "http://keystone.invalid", PasswordFile: "/nonexistent", CAFile: "/nonexistent"})
}

func TestOneLoginForAll(t *testing.T) {
	c := newCloud(t, httptest.NewServer)
	client := openstack.New(c.credentials(t))
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			get := client.Network
			if i%2 == 0 {
				get = client.LoadBalancer
			}
			service, err := get(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if err := use(t, service); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if c.logins != 1 {
		t.Errorf("%d logins", c.logins)
	}
}

// TestPasswordChanges while the controller runs: the token is no longer good, nor is the password of the first login.
func TestPasswordChanges(t *testing.T) {
	c := newCloud(t, httptest.NewServer)
	credentials := c.credentials(t)
	client := openstack.New(credentials)
	network, err := client.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.set(func() { c.password, c.token = "second", "none" })
	if err := use(t, network); err == nil {
		t.Error("the old password was taken")
	}
	write(t, credentials.PasswordFile, "second\n")
	if err := use(t, network); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	if again, err := client.Network(t.Context()); err != nil || again != network {
		t.Errorf("another client was made: %v", err)
	}
}

// TestServiceComesLater: an endpoint that is added to the catalogue is found without a restart.
func TestServiceComesLater(t *testing.T) {
	c := newCloud(t, httptest.NewServer)
	c.services = []string{"network"}
	client := openstack.New(c.credentials(t))
	if _, err := client.LoadBalancer(t.Context()); err == nil || !strings.Contains(err.Error(), "load-balancer") {
		t.Errorf("without Octavia: %v", err)
	}
	c.set(func() { c.services = append(c.services, "load-balancer") })
	if _, err := client.LoadBalancer(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWaitingForALoginEnds when the caller has no more time, whatever the one does that logs in.
func TestWaitingForALoginEnds(t *testing.T) {
	c := newCloud(t, httptest.NewServer)
	c.reached = make(chan struct{})
	client := openstack.New(c.credentials(t))
	patient, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := client.Network(patient)
		ended <- err
	}()
	<-c.reached
	over, end := context.WithCancel(t.Context())
	end()
	if _, err := client.Network(over); err == nil {
		t.Error("there was a client without a login")
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("a login that never ended succeeded")
	}
}

func TestInterfaceAndCAFile(t *testing.T) {
	c := newCloud(t, httptest.NewTLSServer)
	credentials := c.credentials(t)
	credentials.Interface = "internal"
	if _, err := openstack.New(credentials).Network(t.Context()); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("without the authority: %v", err)
	}
	credentials.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	client := openstack.New(credentials)
	write(t, credentials.CAFile, "nonsense")
	if _, err := client.Network(t.Context()); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("with nonsense: %v", err)
	}
	write(t, credentials.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})))
	network, err := client.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := c.URL + "/network/internal/v2.0/"; network.ResourceBase != want {
		t.Errorf("Neutron is at %s, want %s", network.ResourceBase, want)
	}
}
