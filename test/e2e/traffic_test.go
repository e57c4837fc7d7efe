package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// client is an HTTP client whose sockets live in the client's network namespace, as a tenant's would.
func (c *cloud) client(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialIn(ctx, c.env["OE_CLIENT_NETNS"], network, address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// dialIn connects from inside a named network namespace.
func dialIn(ctx context.Context, namespace, network, address string) (net.Conn, error) {
	return dialFrom(ctx, namespace, nil, network, address)
}

// dialFrom connects from inside a named network namespace and from a local address of it, nil for any. A socket belongs to
// the namespace of the thread that made it.
func dialFrom(ctx context.Context, namespace string, local net.Addr, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := inNamespace(namespace, func() error {
		var err error
		conn, err = (&net.Dialer{LocalAddr: local}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// inNamespace runs a function on a thread of a named network namespace, which its sockets then belong to.
func inNamespace(namespace string, do func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is not unlocked: it ends with the goroutine, so no other goroutine finds itself in the namespace.
		runtime.LockOSThread()
		handle, err := netns.GetFromName(namespace)
		if err != nil {
			done <- fmt.Errorf("namespace %s: %w", namespace, err)
			return
		}
		defer handle.Close()
		if err := netns.Set(handle); err != nil {
			done <- fmt.Errorf("enter namespace %s: %w", namespace, err)
			return
		}
		done <- do()
	}()
	return <-done
}

// fetch asks once and returns the status and the name of the member that answered, "" when Envoy did.
func (c *cloud) fetch(t *testing.T, client *http.Client, address string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, "", err
	}
	return response.StatusCode, response.Header.Get("Server-Name"), nil
}

// spread sends n requests and counts the answers by member; every answer must be 200.
func (c *cloud) spread(t *testing.T, address string, n int) map[string]int {
	t.Helper()
	client, counts := c.client(t), map[string]int{}
	for range n {
		code, member, err := c.fetch(t, client, address)
		if err != nil || code != http.StatusOK {
			t.Fatalf("request to %s: status %d, error %v", address, code, err)
		}
		counts[member]++
	}
	return counts
}

// serves waits until the address answers 200.
func (c *cloud) serves(t *testing.T, address string) {
	t.Helper()
	client := c.client(t)
	eventually(t, settleTime, func() error {
		code, _, err := c.fetch(t, client, address)
		if err != nil {
			return err
		}
		if code != http.StatusOK {
			return fmt.Errorf("%s answers %d", address, code)
		}
		return nil
	})
}
