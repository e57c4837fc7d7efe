package main

import (
	"strings"
	"testing"
)

// sound is a configuration without a fault.
const sound = `
openstack:
  auth_url: https://keystone.example/v3
  password_file: /etc/octavia-envoy/password
`

func TestServeCheckTakesASoundConfiguration(t *testing.T) {
	out := mustRun(t, "serve", "--check", "--config", writeFile(t, "c.yaml", sound))
	if out != "the configuration is valid\n" {
		t.Errorf("printed %q", out)
	}
}

func TestServeCheckPrintsEveryProblem(t *testing.T) {
	t.Setenv("OCTAVIA_ENVOY_LOG_LEVEL", "loud")
	_, err := run(t, "serve", "--check", "--config", writeFile(t, "c.yaml", "store: {dsn: oracle:x}\n"),
		"--reconcile.parallel", "0", "--api.tcp", "nowhere")
	if err == nil {
		t.Fatal("accepted")
	}
	contains(t, err.Error(), `store.dsn: scheme "oracle" is unknown`, `log.level: "loud" is unknown`,
		"reconcile.parallel: must be at least 1", `api.tcp: "nowhere" is no host:port`, "openstack.auth_url:")
}

func TestServeCheckRefusesAnUnknownKey(t *testing.T) {
	for _, args := range [][]string{
		{"--config", writeFile(t, "c.yaml", sound+"stroe: {dsn: 'sqlite:/x'}\n")},
		{"--stroe.dsn", "sqlite:/x"},
	} {
		if _, err := run(t, append([]string{"serve", "--check"}, args...)...); err == nil || !strings.Contains(err.Error(), "stroe") {
			t.Errorf("%q: got %v", args, err)
		}
	}
}

func TestServeHelpNamesEveryKeysVariableAndDefault(t *testing.T) {
	contains(t, mustRun(t, "serve", "--help"), "--store.dsn", "OCTAVIA_ENVOY_STORE_DSN",
		"sqlite:/var/lib/octavia-envoy/octavia-envoy.db")
}
