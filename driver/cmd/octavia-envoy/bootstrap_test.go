package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBootstrapNamesTheNode(t *testing.T) {
	out := mustRun(t, "bootstrap", "--amphora", "amphora-1", "--load-balancer", "lb-1", "--controller", "tcp:192.0.2.1:9180")
	var document struct {
		Node struct{ ID, Cluster string }
	}
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Fatal(err)
	}
	if document.Node.ID != "amphora-1" || document.Node.Cluster != "lb-1" {
		t.Errorf("the node is %+v", document.Node)
	}
	contains(t, out, "192.0.2.1", "9180")
}

func TestBootstrapWritesTheFilesThatItNames(t *testing.T) {
	folder := t.TempDir()
	out := mustRun(t, "bootstrap", "--amphora", "a", "--load-balancer", "l", "--controller", "unix:/run/xds.sock",
		"--secret-dir", folder)
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, entry := range entries {
		contains(t, out, filepath.Join(folder, entry.Name()))
	}
}

func TestBootstrapSaysWhatIsMissing(t *testing.T) {
	if _, err := run(t, "bootstrap", "--amphora", "a"); err == nil || !strings.Contains(err.Error(), `"controller", "load-balancer" not set`) {
		t.Errorf("got %v", err)
	}
	if _, err := run(t, "bootstrap", "--amphora", "a", "--load-balancer", "l", "--controller", "192.0.2.1"); err == nil ||
		!strings.Contains(err.Error(), "unix:/path or tcp:host:port") {
		t.Errorf("got %v", err)
	}
}
