package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

// cloud is the running instance that the tests use.
type cloud struct {
	// env is what the file named by OE_ENV says of the instance.
	env     map[string]string
	octavia *gophercloud.ServiceClient
	network *gophercloud.ServiceClient
	subnet  string
}

var shared *cloud // one cloud for the package's tests: it takes a minute to start

func TestMain(m *testing.M) {
	instance, err := connect(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: no cloud to test against: run `make e2e`, which starts one:", err)
		os.Exit(1)
	}
	shared = instance
	os.Exit(m.Run())
}

func connect(ctx context.Context) (*cloud, error) {
	path := os.Getenv("OE_ENV")
	if path == "" {
		return nil, errors.New("OE_ENV names no file")
	}
	env, err := readEnv(path)
	if err != nil {
		return nil, err
	}
	provider, err := openstack.AuthenticatedClient(ctx, gophercloud.AuthOptions{
		IdentityEndpoint: env["OS_AUTH_URL"], Username: env["OS_USERNAME"], Password: env["OS_PASSWORD"],
		TenantName: env["OS_PROJECT_NAME"], DomainName: "Default", AllowReauth: true,
	})
	if err != nil {
		return nil, err
	}
	endpoint := gophercloud.EndpointOpts{Region: env["OS_REGION_NAME"]}
	c := &cloud{env: env}
	if c.octavia, err = openstack.NewLoadBalancerV2(provider, endpoint); err != nil {
		return nil, err
	}
	if c.network, err = openstack.NewNetworkV2(provider, endpoint); err != nil {
		return nil, err
	}
	var subnets struct{ Subnets []struct{ ID string } }
	if _, err := c.network.Get(ctx, c.network.ServiceURL("subnets")+"?name=public-subnet", &subnets, nil); err != nil { //nolint:bodyclose // read by gophercloud
		return nil, err
	}
	if len(subnets.Subnets) != 1 {
		return nil, fmt.Errorf("%d subnets named public-subnet", len(subnets.Subnets))
	}
	c.subnet = subnets.Subnets[0].ID
	return c, nil
}

func readEnv(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	env := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if ok {
			env[name] = strings.Trim(value, `"'`)
		}
	}
	return env, nil
}

// run runs a program with the instance's environment and returns what it printed; it fails the test when the program fails.
func (c *cloud) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	stdout, stderr, err := c.try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// try runs a program with the instance's environment and returns what it printed.
func (c *cloud) try(t *testing.T, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	// Also clean-ups run programs, when the test's own context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	var out, errOut bytes.Buffer
	command := exec.CommandContext(ctx, name, args...)
	command.Env = os.Environ()
	for key, value := range c.env {
		command.Env = append(command.Env, key+"="+value)
	}
	command.Stdout, command.Stderr = &out, &errOut
	err = command.Run()
	return out.String(), errOut.String(), err
}

// openstack runs the CLI as a user would.
func (c *cloud) openstack(t *testing.T, words string) string {
	t.Helper()
	return c.run(t, c.env["OPENSTACK"], strings.Fields(words)...)
}

// service stops, starts, kills, pauses or resumes one of the instance's services.
func (c *cloud) service(t *testing.T, verb, name string) {
	t.Helper()
	c.run(t, c.env["OE_CLOUD"], verb, "--instance", c.env["OE_INSTANCE"], name)
}

// restartController makes sure that it is gone, and up again with what its configuration says now.
func (c *cloud) restartController(t *testing.T) {
	t.Helper()
	c.service(t, "kill", "controller")
	c.service(t, "start", "controller")
}

// call sends one request to Octavia's API. Not being allowed yet (409, the load balancer is immutable) is waited out.
func (c *cloud) call(t *testing.T, method, path string, body, answer any) error {
	t.Helper()
	return c.request(t.Context(), method, path, body, answer)
}

func (c *cloud) request(ctx context.Context, method, path string, body, answer any) error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		options := &gophercloud.RequestOpts{
			OkCodes: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent},
		}
		if body != nil {
			options.JSONBody = body
		}
		if answer != nil {
			options.JSONResponse = answer
		}
		_, err := c.octavia.Request(ctx, method, c.octavia.ServiceURL("lbaas")+"/"+path, options) //nolint:bodyclose // gophercloud closes it
		if gophercloud.ResponseCodeIs(err, http.StatusConflict) && time.Now().Before(deadline) {
			time.Sleep(200 * time.Millisecond)
			continue
		}
		return err
	}
}

// eventually polls until check returns nil, and fails the test with its last error after the limit.
func eventually(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", limit, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
