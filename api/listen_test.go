package api_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

// serve runs an API on the listeners until the test ends.
func serve(t *testing.T, handler http.Handler, listeners ...net.Listener) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, handler, nil, listeners...) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
}

func unixClient(path string) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &http.Client{Transport: transport}
}

func TestUnixSocket(t *testing.T) {
	h := newHarness(t)
	h.save()
	path := filepath.Join(t.TempDir(), "api.sock")
	group, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	require.NoError(t, err)
	listeners, err := api.Listen(context.Background(), api.ListenOptions{UnixSocket: path, Group: group.Name})
	require.NoError(t, err)
	require.Len(t, listeners, 1)
	assert.Equal(t, path, listeners[0].Addr().String())
	serve(t, h.handler, listeners...)

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o660), info.Mode().Perm())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing else is left in the folder")

	request, err := http.NewRequest("POST", "http://controller/v1/pools/"+poolID+"/members", strings.NewReader(newMember))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := unixClient(path).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	h.accepted(answer{response.StatusCode, response.Header, string(body)})
}

func TestUnixSocketOptions(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "api.sock")
	listeners, err := api.Listen(ctx, api.ListenOptions{UnixSocket: path, Mode: 0o600, Group: strconv.Itoa(os.Getgid())})
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, listeners[0].Close())
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist, "closing removes the socket")

	_, err = api.Listen(ctx, api.ListenOptions{UnixSocket: path, Group: "no-such-group"})
	require.ErrorContains(t, err, "no-such-group")
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = api.Listen(ctx, api.ListenOptions{})
	require.EqualError(t, err, "api: neither a unix socket nor a TCP address to listen on")
}

func TestStaleSocket(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "api.sock")
	options := api.ListenOptions{UnixSocket: path}

	// A process that was killed leaves its socket.
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	dead.SetUnlinkOnClose(false)
	require.NoError(t, dead.Close())
	first, err := api.Listen(ctx, options)
	require.NoError(t, err)

	// One that lives keeps it.
	_, err = api.Listen(ctx, options)
	require.EqualError(t, err, "api: listen on "+path+": another process is listening there")
	_, err = net.Dial("unix", path)
	require.NoError(t, err, "and still has it")

	// A socket that somebody else has put there is not removed.
	require.NoError(t, os.Remove(path))
	other, err := net.Listen("unix", path)
	require.NoError(t, err)
	require.NoError(t, first[0].Close())
	connection, err := net.Dial("unix", path)
	require.NoError(t, err)
	require.NoError(t, connection.Close())
	require.NoError(t, other.Close())

	// And a file is not a socket.
	require.NoError(t, os.WriteFile(path, []byte("data"), 0o600))
	_, err = api.Listen(ctx, options)
	require.EqualError(t, err, "api: listen on "+path+": there is a file at that path that is no socket")
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "data", string(data))
}

func TestTCPRefused(t *testing.T) {
	for config, want := range map[*tls.Config]string{
		nil: "refusing TCP without TLS",
		{}:  "refusing TCP without client authentication: TLS must require and verify client certificates",
		{ClientAuth: tls.VerifyClientCertIfGiven}:    "refusing TCP without client authentication: TLS must require and verify client certificates",
		{ClientAuth: tls.RequireAndVerifyClientCert}: "refusing TCP that would trust the system's CAs for clients: TLS needs ClientCAs",
	} {
		path := filepath.Join(t.TempDir(), "api.sock")
		_, err := api.Listen(context.Background(), api.ListenOptions{UnixSocket: path, TCP: "127.0.0.1:0", TLS: config})
		require.EqualError(t, err, "api: listen on 127.0.0.1:0: "+want)
		_, err = os.Stat(path)
		require.ErrorIs(t, err, os.ErrNotExist, "nothing is left open")
	}
}

// TestMutualTLS calls over TCP, as everybody that the controller's authority has certificates for.
func TestMutualTLS(t *testing.T) {
	h := newHarness(t)
	h.save()
	authority, err := certs.LoadOrCreate(filepath.Join(t.TempDir(), "ca"), time.Now)
	require.NoError(t, err)
	stranger, err := certs.LoadOrCreate(filepath.Join(t.TempDir(), "ca"), time.Now)
	require.NoError(t, err)
	listeners, err := api.Listen(context.Background(), api.ListenOptions{
		TCP: "127.0.0.1:0", TLS: authority.ServerTLS(nil, []net.IP{net.IPv4(127, 0, 0, 1)}),
	})
	require.NoError(t, err)
	serve(t, h.handler, listeners...)

	do := func(credentials *certs.Credentials, method, path, body string) (answer, error) {
		config := &tls.Config{RootCAs: authority.Pool(), ServerName: certs.ServerName}
		if credentials != nil {
			pair, err := tls.X509KeyPair(credentials.Certificate, []byte(credentials.Key))
			require.NoError(t, err)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		request, err := http.NewRequest(method, "https://"+listeners[0].Addr().String()+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			return answer{}, err
		}
		defer response.Body.Close()
		data, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return answer{response.StatusCode, response.Header, string(data)}, nil
	}
	issue := func(credentials *certs.Credentials, err error) *certs.Credentials {
		require.NoError(t, err)
		return credentials
	}
	shim := issue(authority.IssueClient("octavia-1", time.Hour))
	operator := issue(authority.IssueOperator("alice", time.Hour))
	amphora := issue(authority.AmphoraCredentials(otherID, time.Hour))

	got, err := do(shim, "POST", "/v1/listeners", newListener)
	require.NoError(t, err)
	h.accepted(got)

	got, err = do(operator, "GET", "/v1/flavor-capabilities", "")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, got.Status)
	got, err = do(operator, "POST", "/v1/listeners", newListener)
	require.NoError(t, err)
	h.refused(got, http.StatusForbidden, "unauthorized", "", "A client certificate of the role operator does not allow this call.")
	got, err = do(amphora, "GET", "/v1/status", "")
	require.NoError(t, err)
	h.refused(got, http.StatusForbidden, "unauthorized", "", "A client certificate of the role amphora does not allow this call.")
	assert.Len(t, h.intents(), 1)

	for name, credentials := range map[string]*certs.Credentials{
		"nobody": nil, "a stranger": issue(stranger.IssueClient("octavia-1", time.Hour)),
	} {
		_, err = do(credentials, "GET", "/healthz", "")
		alert := new(tls.AlertError)
		opError := new(net.OpError)
		reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
		assert.True(t, reset || errors.As(err, alert) || errors.As(err, &opError), "%s: %v", name, err)
	}
}

// TestShutdownFinishesCalls ends the server while a call is under way.
func TestShutdownFinishesCalls(t *testing.T) {
	reached, proceed := make(chan struct{}), make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-proceed
		w.WriteHeader(http.StatusTeapot)
	})
	path := filepath.Join(t.TempDir(), "api.sock")
	listeners, err := api.Listen(context.Background(), api.ListenOptions{UnixSocket: path})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done, status := make(chan error, 1), make(chan int, 1)
	go func() { done <- api.Serve(ctx, handler, nil, listeners...) }()
	go func() {
		response, err := unixClient(path).Get("http://controller/")
		if !assert.NoError(t, err) {
			status <- 0
			return
		}
		_ = response.Body.Close()
		status <- response.StatusCode
	}()
	<-reached
	cancel()
	require.Eventually(t, func() bool {
		_, err := os.Stat(path)
		return errors.Is(err, os.ErrNotExist)
	}, 10*time.Second, time.Millisecond, "it takes no more calls")
	close(proceed)
	assert.Equal(t, http.StatusTeapot, <-status)
	assert.NoError(t, <-done)
}
