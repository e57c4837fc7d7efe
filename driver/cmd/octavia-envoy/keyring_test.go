package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/secrets"
	"github.com/octavia-envoy/octavia-envoy/store/seal"
)

const keyRef = "http://barbican.example/v1/secrets/6f2c2f2e-2a9c-4a0e-8d5e-0d2a1b3c4d5e"

// unwell is a Barbican that first answers with some statuses, and then well.
func unwell(t *testing.T, payload string, statuses ...int) (reader *secrets.Reader, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := int(asked.Add(1)); n <= len(statuses) {
			w.WriteHeader(statuses[n-1])
			return
		}
		if strings.HasSuffix(r.URL.Path, "/payload") {
			_, _ = w.Write([]byte(payload))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"content_types": {"default": "text/plain"}}`))
	}))
	t.Cleanup(server.Close)
	return secrets.NewReader(func(context.Context) (*gophercloud.ServiceClient, error) {
		return &gophercloud.ServiceClient{
			ProviderClient: &gophercloud.ProviderClient{TokenID: "token"}, Endpoint: server.URL + "/", ResourceBase: server.URL + "/v1/",
		}, nil
	}), asked
}

// TestAwaitKeys waits for a Barbican that is down, in the end in vain, and not for one that says no.
func TestAwaitKeys(t *testing.T) {
	line := string(seal.NewLine("k"))
	_, key, _ := strings.Cut(strings.TrimSpace(line), " ")
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))

	reader, asked := unwell(t, line, http.StatusServiceUnavailable, http.StatusBadGateway)
	ring, err := awaitKeys(t.Context(), reader, keyRef, time.Minute, logger)
	if err != nil || ring.Active() != "k" || asked.Load() != 4 {
		t.Errorf("after an outage: %v, asked %d times", err, asked.Load())
	}
	if got := strings.Count(log.String(), "the controller waits for them"); got != 2 {
		t.Errorf("said %d times:\n%s", got, log.String())
	}

	reader, _ = unwell(t, line, http.StatusServiceUnavailable, http.StatusServiceUnavailable)
	_, err = awaitKeys(t.Context(), reader, keyRef, time.Nanosecond, logger)
	if err == nil || !strings.HasPrefix(err.Error(), "store.key_ref: the controller does not start without the keys of its database, and has waited 1ns for them: ") ||
		!strings.Contains(err.Error(), "Barbican does not answer") {
		t.Errorf("no Barbican: %v", err)
	}

	for status, want := range map[int]string{
		http.StatusForbidden: "may not read the secret " + keyRef + ": let its user read it", http.StatusNotFound: "does not exist in Barbican",
	} {
		reader, asked = unwell(t, line, status)
		if _, err = awaitKeys(t.Context(), reader, keyRef, time.Minute, logger); err == nil || !strings.HasPrefix(err.Error(), "store.key_ref: ") ||
			!strings.Contains(err.Error(), want) || asked.Load() != 1 {
			t.Errorf("%d: %v, asked %d times", status, err, asked.Load())
		}
	}

	reader, asked = unwell(t, "k "+key[1:])
	if _, err = awaitKeys(t.Context(), reader, keyRef, time.Minute, logger); err == nil || !strings.Contains(err.Error(), "line 1: its key is not 32 bytes") ||
		asked.Load() != 2 {
		t.Errorf("no key: %v, asked %d times", err, asked.Load())
	}

	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err = awaitKeys(stopped, reader, keyRef, time.Minute, logger); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
	if strings.Contains(log.String(), key[1:12]) {
		t.Errorf("the log shows the key:\n%s", log.String())
	}
}

// TestKeyCommands says what is missing to use Barbican.
func TestKeyCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.key")
	line, err := run(t, "db", "new-key", "one")
	if err != nil {
		t.Fatal(err)
	}
	ref := []string{"--store.key_ref", keyRef}
	nobody := []string{"--openstack.auth_url", "http://127.0.0.1:1/v3", "--openstack.password_file", writeFile(t, "password", "secret")}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"both":             {append([]string{"rekey", "--store.key_file", file}, ref...), "store.key_ref: is set beside store.key_file"},
		"no Keystone":      {append([]string{"rekey"}, ref...), "openstack.auth_url"},
		"Keystone down":    {append(append([]string{"rekey"}, ref...), nobody...), "store.key_ref: the secret " + keyRef + " cannot be read now: Barbican does not answer"},
		"no file":          {append([]string{"new-key", "--barbican", "--store.key_file", file}, nobody...), "store.key_file: open " + file},
		"without its file": {[]string{"new-key", "--without", "a"}, "--without is for --barbican"},
		"no client":        {[]string{"new-key", "--barbican"}, "openstack.auth_url"},
		"the one in use": {
			append([]string{"new-key", "--barbican", "--without", "one", "--store.key_file", writeFile(t, "keys", line)}, nobody...), "it is the key that seals at present",
		},
		"an unknown one": {
			append([]string{"new-key", "--barbican", "--without", "two", "--store.key_file", writeFile(t, "keys2", line)}, nobody...), "there is no such key; there are keys one",
		},
		"not stored": {
			append([]string{"new-key", "--barbican", "--store.key_file", writeFile(t, "keys3", line)}, nobody...), "the keys cannot be stored: Barbican does not answer",
		},
	} {
		out, err := run(t, append([]string{"db"}, test.args...)...)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(out, "://") {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), strings.Fields(line)[1][:12]) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}
