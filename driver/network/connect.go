package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

// requestTimeout bounds one request to an OpenStack API.
const requestTimeout = 60 * time.Second

// Credentials say who the controller is to Keystone, and where Keystone is.
type Credentials struct {
	AuthURL  string
	Username string
	// PasswordFile holds the password; its last newline does not count. Password is used when it is empty.
	PasswordFile      string
	Password          string
	ProjectName       string
	UserDomainName    string
	ProjectDomainName string
	// Region is empty for the only one.
	Region string
	// Interface is public, internal or admin; empty is public.
	Interface string
	// CAFile holds the authorities of https endpoints, PEM; empty is the system's.
	CAFile string
}

// String leaves out the password.
func (c Credentials) String() string {
	return fmt.Sprintf("%s@%s at %s", c.Username, c.ProjectName, c.AuthURL)
}

// GoString leaves out the password.
func (c Credentials) GoString() string { return c.String() }

// Connect logs in to Keystone and finds the network service. The client logs in again when its token expires.
func Connect(ctx context.Context, credentials Credentials) (*gophercloud.ServiceClient, error) {
	password := credentials.Password
	if credentials.PasswordFile != "" {
		data, err := os.ReadFile(filepath.Clean(credentials.PasswordFile))
		if err != nil {
			return nil, fmt.Errorf("connect to OpenStack: %w", err)
		}
		password = strings.TrimRight(string(data), "\r\n")
	}
	provider, err := openstack.NewClient(credentials.AuthURL)
	if err != nil {
		return nil, fmt.Errorf("connect to OpenStack: %w", err)
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("connect to OpenStack: the process has another HTTP transport")
	}
	transport = transport.Clone()
	if credentials.CAFile != "" {
		authorities, err := os.ReadFile(filepath.Clean(credentials.CAFile))
		if err != nil {
			return nil, fmt.Errorf("connect to OpenStack: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("connect to OpenStack: %s holds no certificate", credentials.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	provider.HTTPClient = http.Client{Transport: transport, Timeout: requestTimeout}
	err = openstack.Authenticate(ctx, provider, gophercloud.AuthOptions{
		IdentityEndpoint: credentials.AuthURL, Username: credentials.Username, Password: password,
		DomainName: credentials.UserDomainName, AllowReauth: true,
		Scope: &gophercloud.AuthScope{ProjectName: credentials.ProjectName, DomainName: credentials.ProjectDomainName},
	})
	if err != nil {
		return nil, fmt.Errorf("log in to Keystone as %s: %w", credentials, err)
	}
	availability := gophercloud.Availability(credentials.Interface)
	if availability == "" {
		availability = gophercloud.AvailabilityPublic
	}
	client, err := openstack.NewNetworkV2(provider, gophercloud.EndpointOpts{
		Region: credentials.Region, Availability: availability,
	})
	if err != nil {
		return nil, fmt.Errorf("find the network service: %w", err)
	}
	return client, nil
}
