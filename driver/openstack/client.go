package openstack

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	gopher "github.com/gophercloud/gophercloud/v2/openstack"
)

// requestTimeout bounds one request, so that an API that hangs costs a request and not the loop that made it.
const requestTimeout = 60 * time.Second

// Client finds the services in Keystone's catalogue. Its methods are safe for concurrent use. What they hand out logs in
// again by itself when Keystone no longer takes the token.
type Client struct {
	credentials Credentials
	// turn is held by who uses the fields below. A channel and not a mutex: who waits for another's login may give up.
	turn chan struct{}
	// provider is nil before the first login.
	provider *gophercloud.ProviderClient
	// services are those that were asked for, by their type in the catalogue.
	services map[string]*gophercloud.ServiceClient
}

// New makes a client and connects to nothing.
func New(credentials Credentials) *Client {
	if credentials.Interface == "" {
		credentials.Interface = string(gophercloud.AvailabilityPublic)
	}
	return &Client{
		credentials: credentials, turn: make(chan struct{}, 1), services: map[string]*gophercloud.ServiceClient{},
	}
}

// Network returns Neutron's client. It logs in if nobody has; if that fails the next call tries again.
func (c *Client) Network(ctx context.Context) (*gophercloud.ServiceClient, error) {
	return c.service(ctx, "network", gopher.NewNetworkV2)
}

// LoadBalancer returns Octavia's client. It logs in if nobody has; if that fails the next call tries again.
func (c *Client) LoadBalancer(ctx context.Context) (*gophercloud.ServiceClient, error) {
	return c.service(ctx, "load-balancer", gopher.NewLoadBalancerV2)
}

// KeyManager returns Barbican's client. It logs in if nobody has; if that fails the next call tries again.
func (c *Client) KeyManager(ctx context.Context) (*gophercloud.ServiceClient, error) {
	return c.service(ctx, "key-manager", gopher.NewKeyManagerV1)
}

type constructor func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)

func (c *Client) service(ctx context.Context, kind string, construct constructor) (*gophercloud.ServiceClient, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a login to Keystone: %w", ctx.Err())
	}
	if service := c.services[kind]; service != nil {
		return service, nil
	}
	if c.provider == nil {
		provider, err := c.connect(ctx)
		if err != nil {
			return nil, err
		}
		c.provider = provider
	}
	service, err := construct(c.provider, gophercloud.EndpointOpts{
		Region: c.credentials.Region, Availability: gophercloud.Availability(c.credentials.Interface),
	})
	if err != nil {
		// The catalogue came with the login: the next call asks for a new one.
		c.provider = nil
		return nil, fmt.Errorf("find the %s service in Keystone's catalogue: %w", kind, err)
	}
	c.services[kind] = service
	return service, nil
}

// connect logs in, and arranges for the next logins.
func (c *Client) connect(ctx context.Context) (*gophercloud.ProviderClient, error) {
	transport, err := c.transport()
	if err != nil {
		return nil, fmt.Errorf("connect to OpenStack: %w", err)
	}
	connection := http.Client{Transport: transport, Timeout: requestTimeout}
	provider, err := c.login(ctx, connection)
	if err != nil {
		connection.CloseIdleConnections()
		return nil, err
	}
	// Not gophercloud's own (AllowReauth), which keeps the password of the first login.
	provider.ReauthFunc = func(ctx context.Context) error {
		again, err := c.login(ctx, connection)
		if err != nil {
			return err
		}
		provider.CopyTokenFrom(again)
		return nil
	}
	return provider, nil
}

func (c *Client) login(ctx context.Context, connection http.Client) (*gophercloud.ProviderClient, error) {
	password, err := c.credentials.password()
	if err != nil {
		return nil, fmt.Errorf("log in to Keystone as %s: %w", c.credentials, err)
	}
	provider, err := gopher.NewClient(c.credentials.AuthURL)
	if err != nil {
		return nil, fmt.Errorf("log in to Keystone as %s: %w", c.credentials, err)
	}
	provider.HTTPClient = connection
	err = gopher.Authenticate(ctx, provider, gophercloud.AuthOptions{
		IdentityEndpoint: c.credentials.AuthURL, Username: c.credentials.Username, Password: password,
		DomainName: c.credentials.UserDomainName,
		Scope: &gophercloud.AuthScope{
			ProjectName: c.credentials.ProjectName, DomainName: c.credentials.ProjectDomainName,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("log in to Keystone as %s: %w", c.credentials, err)
	}
	return provider, nil
}

// transport is Go's default one, with proxies and limits of its own, that trusts the configured authorities.
func (c *Client) transport() (*http.Transport, error) {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the process has another HTTP transport")
	}
	transport := standard.Clone()
	if c.credentials.CAFile == "" {
		return transport, nil
	}
	authorities, err := os.ReadFile(filepath.Clean(c.credentials.CAFile))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s holds no certificate", c.credentials.CAFile)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return transport, nil
}
