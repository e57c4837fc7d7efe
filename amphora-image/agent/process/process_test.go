package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// start runs a shell script and returns when it has begun.
func start(t *testing.T, script string, arguments ...string) (*exec.Cmd, ID) {
	t.Helper()
	command := exec.Command("sh", append([]string{"-c", script}, arguments...)...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := command.StdinPipe(); err != nil { // keeps `read` waiting
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _, _ = command.Process.Wait() })
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	id, err := Of(command.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return command, id
}

func TestIdentityOutlivesNoReuse(t *testing.T) {
	_, id := start(t, "echo ready; read x")
	if !id.Alive() {
		t.Fatal("a running process is not alive")
	}
	for name, other := range map[string]ID{
		"start": {PID: id.PID, Start: id.Start + 1, Boot: id.Boot},
		"boot":  {PID: id.PID, Start: id.Start, Boot: "another"},
		"zero":  {},
	} {
		if other.Alive() {
			t.Errorf("alive with another %s", name)
		}
		if err := other.Signal(unix.SIGKILL); err != nil {
			t.Errorf("signal with another %s: %v", name, err)
		}
	}
	if !id.Alive() {
		t.Fatal("a signal for another process hit this one")
	}
}

func TestStopKillsTheStubborn(t *testing.T) {
	// The zombie stays until the cleanup reaps it: Stop must not wait for that.
	_, id := start(t, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
	if err := id.Wait(cancelled()); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait() = %v, want the context's error", err)
	}
	if err := id.Stop(t.Context(), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if id.Alive() {
		t.Fatal("alive after Stop")
	}
	if err := id.Stop(t.Context(), time.Second); err != nil {
		t.Errorf("second Stop: %v", err)
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	_, id := start(t, "echo ready; read x", "--config", path)
	_, _ = start(t, "echo ready; read x", "--config", path+".other")
	_, _ = start(t, "echo ready; read x", "--other", path) // an editor, say
	found, err := Find("--config", path)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0] != id {
		t.Fatalf("found %v, want %v", found, id)
	}
	if id.Memory() == 0 {
		t.Error("no memory")
	}
	if age := id.Age(); age > time.Hour {
		t.Errorf("age is %s", age)
	}
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if id, err := Load(path); err != nil || id != (ID{}) {
		t.Fatalf("Load(missing) = %v, %v", id, err)
	}
	want, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(path); err != nil || got != want {
		t.Fatalf("Load() = %v, %v; want %v", got, err, want)
	}
	if err := os.WriteFile(path, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := Load(path); err != nil || id.Alive() {
		t.Fatalf("Load(garbage) = %v, %v", id, err)
	}
}
