package soak

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
)

// roleVariable makes the test's binary the controller; it holds its settings.
const roleVariable = "OE_SOAK_CONTROLLER"

// settings are where a controller finds its surroundings.
type settings struct {
	// Dir holds the sockets, the database, the CA and the amphorae.
	Dir string
	// Octavia is the base URL of Octavia's REST API.
	Octavia             string
	AgentPath, EnvoyBin string
}

// agentPath is amphora-agent, which TestMain builds.
var agentPath string //nolint:gochecknoglobals // TestMain has no other way to tests

func TestMain(m *testing.M) {
	text := os.Getenv(roleVariable)
	if text == "" {
		amphoratest.Main(m, func(path string) { agentPath = path })
		return
	}
	var s settings
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		err = runController(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "controller:", err)
		os.Exit(1)
	}
}
