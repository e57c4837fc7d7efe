// Package envoyadmin asks an Envoy's admin interface, which is on a unix socket so that nobody but its own user can: what
// it counts, what it listens on, and how its members are. It reads only what it is asked for, and knows nothing of Octavia.
package envoyadmin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// timeout bounds one request; Envoy's main thread may be busy with a large update.
	timeout = 5 * time.Second
	// maxAnswer bounds one answer, in bytes: a load balancer with 1,000 listeners and 10,000 members has less.
	maxAnswer = 64 << 20
)

// Client asks one Envoy. It is safe for concurrent use; Envoy answers one request after the other.
type Client struct {
	http *http.Client
}

// New returns a Client for the admin interface on a unix socket. Nothing needs to listen there yet.
func New(socket string) *Client {
	return &Client{http: &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", socket)
			},
			DisableKeepAlives: true, // the next Envoy has another socket under the same name
		},
	}}
}

// Do sends a request and returns the answer's body. Any status but 200 is an error, and so are more than 64 MiB.
func (c *Client) Do(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy's admin interface: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = errors.New("the answer is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("ask Envoy's admin interface for %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the admin interface answers %s with %s", path, response.Status)
	}
	return body, nil
}

// get reads an answer in JSON.
func (c *Client) get(ctx context.Context, path string, answer any) error {
	body, err := c.Do(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("read Envoy's %s: %w", path, err)
	}
	return nil
}
