package flavor_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

func profiles(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("profiles/*.json")
	require.NoError(t, err)
	texts := make(map[string][]byte)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[strings.TrimSuffix(filepath.Base(file), ".json")] = text
	}
	return texts
}

// TestProfiles checks that the profiles that ship are right, and that the script has a description for each.
func TestProfiles(t *testing.T) {
	script, err := os.ReadFile("profiles/create.sh")
	require.NoError(t, err)
	found := profiles(t)
	assert.Len(t, found, 3)
	for name, text := range found {
		decoder := json.NewDecoder(bytes.NewReader(text))
		var metadata map[string]any
		require.NoError(t, decoder.Decode(&metadata), name)
		parsed, problems := flavor.Parse(metadata)
		assert.Empty(t, problems, name)
		assert.NotEqual(t, &flavor.Flavor{}, parsed, name)
		assert.Less(t, len(text), 4096, "Octavia takes no more")
		assert.Contains(t, string(script), "\n\t"+name+") echo \"")
	}
}
