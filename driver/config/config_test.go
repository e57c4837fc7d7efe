package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func none(string) (string, bool) { return "", false }

// needed are the keys without a default.
func needed() map[string]string {
	return map[string]string{"openstack.auth_url": "http://keystone/v3", "openstack.password_file": "/etc/password"}
}

func TestDefaultsNeedKeystoneAlone(t *testing.T) {
	if _, err := Load("", none, needed()); err != nil {
		t.Error(err)
	}
	_, err := Load("", none, nil)
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "openstack.auth_url") {
		t.Errorf("without them: %v", err)
	}
}

func TestFlagOverridesEnvironmentOverridesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, "reconcile: {deadline: 1s, parallel: 2, retry_interval: 3s}\nxds: {listen: ['tcp:[::1]:1']}\n")
	env := map[string]string{"OCTAVIA_ENVOY_RECONCILE_PARALLEL": "5", "OCTAVIA_ENVOY_RECONCILE_RETRY_INTERVAL": "6s"}
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	flags := needed()
	flags["reconcile.retry_interval"], flags["xds.listen"] = "7s", "unix:/a,tcp:h:2"
	got, err := Load(path, lookup, flags)
	if err != nil {
		t.Fatal(err)
	}
	if got.Reconcile.Deadline.Duration != time.Second {
		t.Errorf("the file's deadline is lost: %v", got.Reconcile.Deadline)
	}
	if got.Reconcile.Parallel != 5 {
		t.Errorf("the environment does not override the file: %d", got.Reconcile.Parallel)
	}
	if got.Reconcile.RetryInterval.Duration != 7*time.Second {
		t.Errorf("the flag does not override the environment: %v", got.Reconcile.RetryInterval)
	}
	if len(got.XDS.Listen) != 2 || got.XDS.Listen[1] != "tcp:h:2" {
		t.Errorf("a list does not split at its commas: %q", got.XDS.Listen)
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, `
store: {dsn: oracle:x}
xds: {listen: [nowhere]}
amphora: {compute: nova}
log: {level: loud}
`)
	_, err := Load(path, none, map[string]string{"reconcile.parallel": "many"})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`store.dsn: scheme "oracle" is unknown`, `xds.listen: "nowhere" is no address`,
		`amphora.compute: "nova" is unknown`, `log.level: "loud" is unknown`, `--reconcile.parallel: "many" is no whole number`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

// TestKeys are in a file or in Barbican.
func TestKeys(t *testing.T) {
	const ref, file = "https://barbican.example:9311/v1/secrets/6f2c2f2e-2a9c-4a0e-8d5e-0d2a1b3c4d5e", "/var/lib/octavia-envoy/secrets.key"
	path := filepath.Join(t.TempDir(), "c.yaml")
	for content, want := range map[string]struct{ file, ref, problem string }{
		"store: {}":                     {file: file},
		"store: {key_file: /k}":         {file: "/k"},
		"store: {key_ref: " + ref + "}": {ref: ref},
		"store: {key_ref: '" + ref + "', key_file: " + file + "}": {problem: "store.key_ref: is set beside store.key_file"},
		"store: {key_file: k}":       {problem: `store.key_file: "k" is no absolute path`},
		"store: {key_ref: c2VjcmV0}": {problem: "store.key_ref: is no reference to a secret"},
		"store: {key_ref: 'https://b/v1/containers/" + ref[len(ref)-36:] + "'}": {problem: "store.key_ref: is no reference to a secret"},
		"store: {key_ref: 'https://b/v1/secrets/c2VjcmV0'}":                     {problem: "store.key_ref: is no reference to a secret"},
	} {
		write(t, path, content)
		got, err := Load(path, none, needed())
		if want.problem != "" {
			if err == nil || !strings.Contains(err.Error(), want.problem) || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("%s: %v; want %q", content, err, want.problem)
			}
			continue
		}
		if err != nil || got.Store.KeyFile != want.file || got.Store.KeyRef != want.ref {
			t.Errorf("%s: %v, %+v", content, err, got)
		}
	}
}

func TestUnknownKeyIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, "store: {dns: x}\n")
	if _, err := Load(path, none, nil); err == nil || !strings.Contains(err.Error(), `unknown field "dns"`) {
		t.Fatalf("got %v", err)
	}
}

func TestEveryKeyHasHelpAndAVariable(t *testing.T) {
	keys := Keys()
	if len(keys) < 30 {
		t.Fatalf("only %d keys: a section is not walked", len(keys))
	}
	for _, key := range keys {
		if key.Help == "" || !strings.HasPrefix(key.Env, "OCTAVIA_ENVOY_") || strings.Contains(key.Path, "..") {
			t.Errorf("%+v", key)
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
