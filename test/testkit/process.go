package testkit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Start starts a program that ends with the test, or with stop, which may be called more than once. What it says is shown if the
// test fails, unless the command has somewhere else to write it.
func Start(tb testing.TB, command *exec.Cmd) (stop func()) {
	tb.Helper()
	var said bytes.Buffer
	if command.Stdout == nil {
		command.Stdout = &said
	}
	if command.Stderr == nil {
		command.Stderr = &said
	}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		tb.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	tb.Cleanup(func() {
		stop()
		if tb.Failed() && said.Len() > 0 {
			tb.Logf("%s said:\n%s", command.Path, said.String())
		}
	})
	return stop
}

// CPU is the time that the threads of a process have run; those that have ended do not count. It is exact to the nanosecond,
// where /proc/PID/stat counts in ticks of 10 ms.
func CPU(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		tb.Fatal(err)
	}
	var total time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		if err != nil {
			continue // the thread has ended
		}
		nanoseconds, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			tb.Fatal(err)
		}
		total += time.Duration(nanoseconds)
	}
	return total
}

// Resident is the memory of a process that is in RAM, in KiB.
func Resident(tb testing.TB, pid int) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		tb.Fatal(err)
	}
	var kib float64
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		tb.Fatalf("no VmRSS of process %d: %v", pid, err)
	}
	return kib
}
