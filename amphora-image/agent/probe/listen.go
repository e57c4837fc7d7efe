package probe

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/process"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

const (
	// socketMode lets nobody in but Envoy, which runs as the agent's user.
	socketMode = 0o600
	// heldDescriptor is what Envoy has the socket as: the first after its standard ones.
	heldDescriptor = 3
)

// Listen makes the socket, or takes over that of an agent that is gone from the Envoy that holds it (Files): then not a
// check has been refused meanwhile, they have only waited. It does nothing when it listens already.
func (b *Bridge) Listen() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener != nil {
		return nil
	}
	listener, err := b.takeOver()
	if err != nil {
		b.options.Logger.Warn("cannot take over the health checks that wait; they fail once", "error", err)
	}
	if listener == nil {
		if listener, err = b.make(); err != nil {
			return err
		}
	}
	held, err := duplicate(listener)
	if err != nil {
		_ = listener.Close()
		return err
	}
	b.listener, b.held = listener, held
	return nil
}

// duplicate is not (*net.UnixListener).File, whose files make the socket a blocking one when they are passed to a process:
// the listener would not be closed any more before the next check.
func duplicate(listener *net.UnixListener) (*os.File, error) {
	raw, err := listener.SyscallConn()
	if err != nil {
		return nil, err
	}
	var descriptor int
	var failed error
	err = raw.Control(func(fd uintptr) { descriptor, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(descriptor), "probe"), nil
}

// Files are for exec.Cmd.ExtraFiles of Envoy, and nothing else with them: it keeps the listening socket alive when the
// agent is not, and never looks at it.
func (b *Bridge) Files() []*os.File {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held == nil {
		return nil
	}
	return []*os.File{b.held}
}

// drop forgets a listener that is closed or has failed.
func (b *Bridge) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listener != nil {
		_ = b.listener.Close()
		_ = b.held.Close()
	}
	b.listener, b.held = nil, nil
}

// close takes the socket away.
func (b *Bridge) close() {
	b.drop()
	_ = os.Remove(b.options.Socket)
	_ = os.Remove(b.cookiePath())
}

// make binds a new socket under another name and then gives it its own: an Envoy that runs finds the old one or the new.
func (b *Bridge) make() (*net.UnixListener, error) {
	dir, err := os.Open(filepath.Dir(b.options.Socket))
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	fresh := b.options.Socket + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// The address of a socket has 107 bytes, and the path of a log directory may have more.
	short := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(fresh))
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", fresh, err)
	}
	listener.SetUnlinkOnClose(false)
	err = os.Chmod(fresh, socketMode)
	if err == nil {
		err = b.saveCookie(listener)
	}
	if err == nil {
		err = os.Rename(fresh, b.options.Socket)
	}
	if err != nil {
		_ = listener.Close()
		_ = os.Remove(fresh)
		return nil, err
	}
	return listener, nil
}

// cookiePath is a file that says which socket the path is: an Envoy may still hold the one before.
func (b *Bridge) cookiePath() string { return b.options.Socket + ".cookie" }

func (b *Bridge) saveCookie(listener *net.UnixListener) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	var cookie uint64
	var failed error
	err = raw.Control(func(fd uintptr) { cookie, failed = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE) })
	if err := errors.Join(err, failed); err != nil {
		return fmt.Errorf("cookie of the socket: %w", err)
	}
	return certs.WriteFile(b.cookiePath(), strconv.AppendUint(nil, cookie, 10), socketMode)
}

// takeOver returns nil when there is nothing to take over.
func (b *Bridge) takeOver() (*net.UnixListener, error) {
	if b.options.Holders == nil {
		return nil, nil
	}
	text, err := os.ReadFile(b.cookiePath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cookie, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.cookiePath(), err)
	}
	if _, err := os.Lstat(b.options.Socket); err != nil {
		return nil, err
	}
	holders, err := b.options.Holders()
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, holder := range holders {
		listener, err := takeFrom(holder, cookie)
		if err == nil {
			return listener, nil
		}
		problems = append(problems, fmt.Errorf("process %d: %w", holder.PID, err))
	}
	return nil, errors.Join(problems...)
}

// takeFrom copies the descriptor of another process (pidfd_getfd(2)). The kernel asks whether one could trace the other
// (PTRACE_MODE_ATTACH): as root, with CAP_SYS_PTRACE, or as the same user where kernel.yama.ptrace_scope is 0.
func takeFrom(holder process.ID, cookie uint64) (*net.UnixListener, error) {
	pidfd, err := unix.PidfdOpen(holder.PID, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(pidfd) }()
	if !holder.Alive() { // asked after the pid was pinned
		return nil, os.ErrProcessDone
	}
	descriptor, err := unix.PidfdGetfd(pidfd, heldDescriptor, 0)
	if err != nil {
		return nil, fmt.Errorf("take its socket: %w", err)
	}
	file := os.NewFile(uintptr(descriptor), "probe")
	defer func() { _ = file.Close() }()
	found, err := unix.GetsockoptUint64(descriptor, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil || found != cookie {
		return nil, errors.New("its socket is another one")
	}
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	taken, ok := listener.(*net.UnixListener)
	if !ok {
		_ = listener.Close()
		return nil, errors.New("its socket is no unix socket")
	}
	return taken, nil
}
