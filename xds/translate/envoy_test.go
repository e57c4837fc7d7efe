package translate

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/octavia-envoy/octavia-envoy/test/envoybin"
)

// TestEnvoyAccepts lets the real Envoy validate every case, routes inside listeners and endpoints inside clusters.
func TestEnvoyAccepts(t *testing.T) {
	binary := envoybin.Path(t)
	slots := make(chan struct{}, 2)
	for _, dir := range cases(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			res, _ := LoadBalancer(readTree(t, dir))
			config := writeStatic(t, res)
			command := exec.CommandContext(t.Context(), binary, "--mode", "validate", "-c", config)
			command.Dir = filepath.Dir(config) // Envoy opens its access log there.
			output, err := command.CombinedOutput()
			if err != nil {
				t.Errorf("Envoy refuses it: %v\n%s", err, output)
			}
		})
	}
}

// writeStatic writes the resources as a bootstrap without a controller and returns the file's name.
func writeStatic(tb testing.TB, res *Resources) string {
	tb.Helper()
	static, err := Static(res)
	if err != nil {
		tb.Fatal(err)
	}
	document, err := protojson.Marshal(static)
	if err != nil {
		tb.Fatal(err)
	}
	name := filepath.Join(tb.TempDir(), "envoy.json")
	if err := os.WriteFile(name, document, 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}
