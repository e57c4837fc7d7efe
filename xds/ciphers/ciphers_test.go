package ciphers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
)

// octaviaDefault is default_listener_ciphers of octavia.conf: OWASP's suite B.
const octaviaDefault = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" +
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" +
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" +
	"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"

func TestOctaviaDefault(t *testing.T) {
	got, err := Select(octaviaDefault)
	if err != nil {
		t.Fatal(err)
	}
	want := Selection{
		Suites: []string{
			"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
			"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
		},
		TLS13:   []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
		Dropped: []string{"DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-CHACHA20-POLY1305"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNothingLeft(t *testing.T) {
	for _, list := range []string{
		"", ":", "!aNULL", "DHE-RSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_CCM_SHA256", "AES128-SHA:!AES128-SHA",
		"!AES128-SHA:AES128-SHA", "AES128-SHA:-RSA", "PSK", "ECDHE+PSK", "@SECLEVEL=2", "+HIGH", "no-such-thing", "+", "!", "-",
	} {
		if got, err := Select(list); !errors.Is(err, ErrNone) || len(got.Suites) != 0 {
			t.Errorf("%q selects %v, %v", list, got.Suites, err)
		}
	}
}

// TestAsOpenSSL holds keywords, operators and order against OpenSSL itself.
func TestAsOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is not installed: apt-get install openssl")
	}
	for _, list := range []string{
		octaviaDefault, "ALL", "DEFAULT", "HIGH", "HIGH:!aNULL:!MD5", "ECDHE+AESGCM", "ECDHE+AESGCM:ECDHE+CHACHA20", "EECDH+AESGCM:EDH+AESGCM",
		"AES128", "AES256:AES128", "AESGCM", "CHACHA20:AESGCM", "aECDSA", "ECDSA+AES256", "aRSA+ECDHE", "RSA", "kRSA", "kRSA+AESGCM",
		"SHA256", "SHA", "SHA1:!ECDHE", "TLSv1.2", "TLSv1.2:!SHA256", "SSLv3", "TLSv1", "HIGH:-ECDSA", "HIGH:-ECDSA:ECDSA", "HIGH:+AES128", "ALL:+RSA",
		"HIGH:+ECDHE:+AES256:!SHA256", "AES128-SHA:AES256-SHA:AES128-SHA", "!AES128-SHA:AES128-SHA:AES256-SHA", "no-such-thing:AES128-SHA",
		"ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA", "kECDHE+AES+SHA", "AES+RSA", "DHE:AES256-SHA", "AES256-SHA,AES128-SHA AES256-GCM-SHA384",
	} {
		output, err := exec.CommandContext(t.Context(), "openssl", "ciphers", "-s", "-tls1_2", list+":@SECLEVEL=0").Output()
		if err != nil {
			t.Fatalf("openssl ciphers %s: %v", list, err)
		}
		known := map[string]bool{}
		for _, suite := range table() {
			known[suite.name] = true
		}
		want := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(output)), ":"), func(name string) bool { return !known[name] })
		got, err := Select(list)
		if err != nil {
			t.Errorf("%s: %v", list, err)
		}
		if diff := cmp.Diff(want, got.Suites); diff != "" {
			t.Errorf("%s (-openssl +got):\n%s", list, diff)
		}
	}
}

// TestEnvoyTakes has a real Envoy load each suite alone, by both of its names.
func TestEnvoyTakes(t *testing.T) {
	binary, folder := envoybin.Path(t), t.TempDir()
	certificate, key := filepath.Join(folder, "c.pem"), filepath.Join(folder, "k.pem")
	made := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-days", "1",
		"-keyout", key, "-out", certificate)
	if output, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var listeners []string
	for _, suite := range table() {
		for _, name := range []string{suite.name, suite.iana} {
			listeners = append(listeners, fmt.Sprintf(`{"name": %q, "address": {"socket_address": {"address": "127.0.0.1", "port_value": %d}},
				"filter_chains": [{"filters": [{"name": "echo", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}}],
				"transport_socket": {"name": "tls", "typed_config": {
					"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
					"common_tls_context": {"tls_params": {"cipher_suites": [%q]},
					"tls_certificates": [{"certificate_chain": {"filename": %q}, "private_key": {"filename": %q}}]}}}}]}`,
				name, 20000+len(listeners), name, certificate, key))
		}
	}
	config := filepath.Join(folder, "envoy.json")
	document := `{"static_resources": {"listeners": [` + strings.Join(listeners, ",") + `]}}`
	if err := os.WriteFile(config, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), binary, "--mode", "validate", "-c", config).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func FuzzSelect(f *testing.F) {
	for _, list := range []string{octaviaDefault, "HIGH:!aNULL:+SHA", "!", "+:-:@", "A+B+", "é"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		got, err := Select(list)
		if (err == nil) != (len(got.Suites) > 0) {
			t.Errorf("%v with %v", err, got.Suites)
		}
		seen := map[string]bool{}
		for _, name := range got.Suites {
			if seen[name] || len(match(name)) != 1 {
				t.Errorf("%s is twice, or none of the table's", name)
			}
			seen[name] = true
		}
	})
}
