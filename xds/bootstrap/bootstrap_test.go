package bootstrap

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fixed are options whose outcome is kept in testdata.
func fixed() Options {
	return Options{
		NodeID:      "n",
		Cluster:     "1e3",
		Controller:  "unix:/run/octavia-envoy/xds.sock",
		ServerName:  "controller.octavia-envoy",
		CertFile:    "/var/lib/amphora/certs/client.pem",
		KeyFile:     "/var/lib/amphora/certs/client.key",
		CAFile:      "/var/lib/amphora/certs/ca.pem",
		AdminSocket: "/run/amphora/admin.sock", MetricsSocket: "/run/amphora/metrics.sock",
	}
}

func TestGolden(t *testing.T) {
	document, err := Envoy(fixed())
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := Secrets(fixed())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{"bootstrap.json": document}
	for path, content := range secrets {
		got[filepath.Base(path)] = content
	}
	for name, content := range got {
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(content)); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", name, diff)
		}
	}
	entries, err := os.ReadDir("testdata")
	if err != nil || len(entries) != len(got) {
		t.Errorf("testdata holds %d files, want %d: %v", len(entries), len(got), err)
	}
}

func TestController(t *testing.T) {
	for text, want := range map[string]string{
		"unix:/run/x.sock":        `"path": "/run/x.sock"`,
		"tcp:192.0.2.1:18000":     `"type": "STATIC"`,
		"tcp:[2001:db8::1]:18000": `"address": "2001:db8::1"`,
		"tcp:xds.example:18000":   `"type": "STRICT_DNS"`,
	} {
		options := fixed()
		options.Controller = text
		document, err := Envoy(options)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if !strings.Contains(string(document), want) {
			t.Errorf("%s: no %s in\n%s", text, want, document)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	long := "/" + strings.Repeat("x", maxSocketPath)
	for name, change := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"no node":           {func(o *Options) { o.NodeID = "" }, "the node id is needed"},
		"no cluster":        {func(o *Options) { o.Cluster = "" }, "the cluster is needed"},
		"no server name":    {func(o *Options) { o.ServerName = "" }, "the server name is needed"},
		"no controller":     {func(o *Options) { o.Controller = "" }, "unix:/path or tcp:host:port"},
		"no port":           {func(o *Options) { o.Controller = "tcp:192.0.2.1" }, "missing port"},
		"port 0":            {func(o *Options) { o.Controller = "tcp:192.0.2.1:0" }, "unix:/path or tcp:host:port"},
		"relative socket":   {func(o *Options) { o.Controller = "unix:xds.sock" }, "absolute path"},
		"long socket":       {func(o *Options) { o.Controller = "unix:" + long }, "at most 107 bytes"},
		"long admin":        {func(o *Options) { o.AdminSocket = long }, "the admin socket is longer than 107 bytes"},
		"long metrics":      {func(o *Options) { o.MetricsSocket = long }, "the metrics socket is longer than 107 bytes"},
		"relative metrics":  {func(o *Options) { o.MetricsSocket = "metrics.sock" }, "the metrics socket needs an absolute path"},
		"relative key":      {func(o *Options) { o.KeyFile = "client.key" }, "the key file needs an absolute path"},
		"key elsewhere":     {func(o *Options) { o.KeyFile = "/elsewhere/client.key" }, "in one directory"},
		"relative secrets":  {func(o *Options) { o.SecretDir = "here" }, "the directory for secrets needs"},
		"everything at all": {func(o *Options) { *o = Options{} }, "the cluster is needed"},
	} {
		options := fixed()
		change.change(&options)
		if _, err := Envoy(options); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: Envoy says %v, want %q", name, err, change.want)
		}
		if _, err := Secrets(options); err == nil {
			t.Errorf("%s: Secrets takes it", name)
		}
	}
}

func TestEnvoyAccepts(t *testing.T) {
	binary := envoybin.Path(t)
	for _, controller := range []string{"unix:/run/x.sock", "tcp:192.0.2.1:18000", "tcp:xds.example:18000"} {
		files := newFiles(t)
		files.options.Controller = controller
		config := files.write(t)
		output, err := exec.CommandContext(t.Context(), binary, "--mode", "validate", "-c", config).CombinedOutput()
		if err != nil {
			t.Errorf("Envoy refuses it: %v\n%s", err, output)
		}
	}
}
