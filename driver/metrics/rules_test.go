package metrics

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRules has Prometheus's own tool check the rules, on series of which the outcome is known.
func TestRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	require.NoError(t, err, "apt-get install prometheus")
	for _, arguments := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		output, err := exec.CommandContext(t.Context(), promtool, arguments...).CombinedOutput()
		require.NoError(t, err, "%s", output)
	}
}
