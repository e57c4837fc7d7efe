package agent_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
)

func TestConfigTellsEverythingThatIsWrong(t *testing.T) {
	good := map[string]any{
		"amphora_id": "a", "loadbalancer_id": "lb", "controller": "tcp:192.0.2.1:18000",
		"credentials_dir": "/etc/tls", "run_dir": "/run/a",
	}
	load := func(changes map[string]any) (*agent.Config, error) {
		merged := map[string]any{}
		for _, part := range []map[string]any{good, changes} {
			maps.Copy(merged, part)
		}
		data, err := json.Marshal(merged)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "agent.json")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return agent.LoadConfig(path)
	}
	config, err := load(nil)
	if err != nil {
		t.Fatal(err)
	}
	if config.ServerName != "controller.octavia-envoy" || config.DrainSeconds != 600 || config.HeartbeatMS != 3000 || config.Concurrency == 0 {
		t.Errorf("defaults are %+v", config)
	}
	for _, test := range []struct {
		change map[string]any
		want   []string
	}{
		{map[string]any{"amphora": "x"}, []string{`unknown field "amphora"`}},
		{map[string]any{"run_dir": "run", "log_level": "loud", "concurrency": -1}, []string{"run_dir", "log_level", "concurrency"}},
		{map[string]any{"controller": "http://x", "amphora_id": ""}, []string{"http://x", "node id"}},
		{map[string]any{"run_dir": "/" + strings.Repeat("x", 110)}, []string{"longer than 107 bytes"}},
	} {
		_, err := load(test.change)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v lacks %q", test.change, err, want)
			}
		}
	}
}
