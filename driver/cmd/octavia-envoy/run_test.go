package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// run runs a command line as main does; it returns what it printed.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return runWith(t, "", args...)
}

func runWith(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// mustRun is run for what has to succeed.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	out, err := run(t, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// writeFile writes a file of the test's own and returns its path.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// contains fails for each of wanted that text does not hold.
func contains(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, want := range wanted {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	var walk func(command *cobra.Command, path []string)
	walk = func(command *cobra.Command, path []string) {
		for _, child := range command.Commands() {
			walk(child, append(append([]string{}, path...), child.Name()))
		}
		if command.Name() == "help" || command.Name() == "completion" {
			return
		}
		help, err := run(t, append(path, "--help")...)
		if err != nil {
			t.Errorf("%s --help: %v", path, err)
		}
		if command.Short == "" || !strings.Contains(help, "Usage:") {
			t.Errorf("%s has no help:\n%s", path, help)
		}
		// A command that does something is also shown at work; version has nothing to show.
		if command.Runnable() && command.HasParent() && command.Name() != "version" {
			if command.Long == "" || !strings.Contains(command.Example, "octavia-envoy "+strings.Join(path, " ")) {
				t.Errorf("%s has no Long, or no Example that begins with it", path)
			}
		}
	}
	walk(rootCommand(), nil)
}

func TestUnknownCommandIsAnError(t *testing.T) {
	if _, err := run(t, "sevre"); err == nil || !strings.Contains(err.Error(), "serve") {
		t.Errorf("got %v, want an error that suggests serve", err)
	}
}

func TestVersion(t *testing.T) {
	contains(t, mustRun(t, "version"), "octavia-envoy ", "go go1.", "github.com/envoyproxy/go-control-plane/envoy v")
}
