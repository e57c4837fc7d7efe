package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

// TestServeWithoutKeystone: a controller starts while Keystone is down. It asks for a VIP port in vain, and says so.
func TestServeWithoutKeystone(t *testing.T) {
	program, err := os.Executable() // stands for amphora-agent and Envoy: there is no amphora to run
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	dir := testkit.SocketDir(t)
	socket := filepath.Join(dir, "api.sock")
	c := config.Default()
	c.Store.DSN, c.Store.KeyFile = "sqlite:"+filepath.Join(dir, "store.db"), filepath.Join(dir, "secrets.key")
	c.CA.Directory = filepath.Join(dir, "ca")
	c.API.UnixSocket, c.XDS.Listen = socket, []string{"unix:" + filepath.Join(dir, "xds.sock")}
	c.Octavia.StatusSocket, c.Octavia.GetSocket = filepath.Join(dir, "status.sock"), filepath.Join(dir, "get.sock")
	c.Amphora.AgentBinary, c.Amphora.EnvoyBinary = program, program
	c.Amphora.StateDirectory, c.Amphora.RunDirectory = filepath.Join(dir, "state"), filepath.Join(dir, "run")
	c.OpenStack.AuthURL, c.OpenStack.PasswordFile = "http://"+nobody.Addr().String()+"/v3", writeFile(t, "password", "secret")
	c.Log.Level = "error"
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	testkit.Run(t, func(ctx context.Context) error { return serve(ctx, &c) })

	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	testkit.Eventually(t, func() error {
		response, err := client.Get("http://controller/readyz")
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", response.Status)
		}
		return nil
	})
	const id = "11111111-1111-4111-8111-111111111111"
	response, err := client.Post("http://controller/v1/vip-ports", "application/json", strings.NewReader(
		`{"loadbalancer_id": "`+id+`", "project_id": "p", "vip": {"vip_subnet_id": "`+id+`"}, "additional_vips": []}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %s", response.Status)
	}
	contains(t, string(body), `"code":"unavailable"`, `"message":"The network service could not be used. Try again later."`)
	if strings.Contains(string(body), "secret") {
		t.Errorf("the password is in the answer: %s", body)
	}
}
