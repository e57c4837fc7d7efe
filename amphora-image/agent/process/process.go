// Package process follows processes that may be somebody else's children: an agent that adopts a running Envoy, a
// controller that finds its agents after a restart. A process is its pid and its start time; a pid alone may have been
// given to another process meanwhile.
package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

// pollEvery is how often Wait looks whether its context is done.
const pollEvery = 100 * time.Millisecond

// ID names one process on this machine, for ever. The zero ID names none.
type ID struct {
	PID int `json:"pid"`
	// Start is when it was started, in clock ticks since boot (proc_pid_stat(5), starttime).
	Start uint64 `json:"start"`
	// Boot is the kernel's boot id: pids and start times repeat after a reboot.
	Boot string `json:"boot"`
}

// Of returns the identity of the process that has that pid now. A zombie is no process: the error is fs.ErrNotExist.
func Of(pid int) (ID, error) {
	state, start, err := stat(pid)
	if err != nil {
		return ID{}, err
	}
	if state == 'Z' || state == 'X' {
		return ID{}, fmt.Errorf("process %d has ended: %w", pid, fs.ErrNotExist)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ID{}, err
	}
	return ID{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// stat returns the state and start time of a process. A process that is not there is fs.ErrNotExist.
func stat(pid int) (state byte, start uint64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, unix.ESRCH) { // it ended between open and read
		err = fmt.Errorf("process %d: %w", pid, fs.ErrNotExist)
	}
	if err != nil {
		return 0, 0, err
	}
	// "pid (comm) state ppid …": comm may hold spaces and brackets, so count from the last bracket.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("process %d: odd /proc entry", pid)
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return fields[0][0], start, err
}

// Alive reports whether the process still runs.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := Of(id.PID)
	return err == nil && now == id
}

// open returns a descriptor of exactly this process; unix.ESRCH if it has ended.
func (id ID) open() (int, error) {
	if id.PID <= 0 {
		return -1, unix.ESRCH
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return -1, err
	}
	if !id.Alive() { // asked after the pid was pinned
		_ = unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

// Signal sends a signal to this process and no other. A process that has ended is not an error.
func (id ID) Signal(signal unix.Signal) error {
	fd, err := id.open()
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	}
	return nil
}

// Wait returns nil when the process has ended, whoever's child it is.
func (id ID) Wait(ctx context.Context) error {
	fd, err := id.open()
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", id.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	for ctx.Err() == nil {
		descriptors := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // a descriptor is a C int
		ready, err := unix.Poll(descriptors, int(pollEvery.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", id.PID, err)
		}
		if ready > 0 {
			return nil
		}
	}
	return ctx.Err()
}

// Stop ends the process: SIGTERM, and SIGKILL when it lives on after grace. It returns when the process has ended.
func (id ID) Stop(ctx context.Context, grace time.Duration) error {
	if err := id.Signal(unix.SIGTERM); err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if id.Wait(patience) == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := id.Signal(unix.SIGKILL); err != nil {
		return err
	}
	return id.Wait(ctx)
}

// Arguments returns the command line of the process.
func (id ID) Arguments() ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
	if err != nil {
		return nil, err
	}
	if !id.Alive() {
		return nil, fs.ErrNotExist
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), nil
}

// Memory returns the resident memory in bytes; 0 if it cannot be told.
func (id ID) Memory() uint64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", id.PID))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize()) //nolint:gosec // never negative
}

// CPU is the time that the process has been on a core, all its threads together; 0 when it cannot be read.
func (id ID) CPU() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id.PID))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything. utime and stime are the fields 14 and 15 (proc_pid_stat(5)).
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	if errors.Join(errUser, errSystem) != nil {
		return 0
	}
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ, see Age
}

// Find returns the running processes that have those arguments, one after the other, on their command line. It is for
// arguments that no other program has: a flag and the path of a configuration that was written for one process.
func Find(wanted ...string) ([]ID, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []ID
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		id, err := Of(pid)
		if err != nil {
			continue // ended meanwhile
		}
		arguments, err := id.Arguments()
		if err == nil && contains(arguments, wanted) {
			found = append(found, id)
		}
	}
	return found, nil
}

func contains(arguments, wanted []string) bool {
	for first := 0; first+len(wanted) <= len(arguments); first++ {
		if slices.Equal(arguments[first:first+len(wanted)], wanted) {
			return true
		}
	}
	return false
}

// Age returns for how long the process has run; 0 if it cannot be told.
func (id ID) Age() time.Duration {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	uptime, _, _ := strings.Cut(string(data), " ")
	seconds, err := strconv.ParseFloat(uptime, 64)
	if err != nil {
		return 0
	}
	// USER_HZ, the unit of /proc, is 100 on every architecture that Envoy is built for.
	started := time.Duration(id.Start) * time.Second / 100 //nolint:gosec // clock ticks since boot
	return max(0, time.Duration(seconds*float64(time.Second))-started)
}

// Save writes the identity to a file, in one step.
func (id ID) Save(path string) error {
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return certs.WriteFile(path, append(data, '\n'), 0o644)
}

// Load reads what Save wrote. A file that is missing or holds something else is the zero ID.
func Load(path string) (ID, error) {
	data, err := os.ReadFile(filepath.Clean(path))
	if errors.Is(err, fs.ErrNotExist) {
		return ID{}, nil
	}
	if err != nil {
		return ID{}, err
	}
	var id ID
	if json.Unmarshal(data, &id) != nil {
		return ID{}, nil
	}
	return id, nil
}
