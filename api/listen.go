package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// ListenOptions say where the API listens. At least one of UnixSocket and TCP must be set.
type ListenOptions struct {
	// UnixSocket is the path of a unix socket; "" listens on none.
	UnixSocket string
	// Mode is who may connect to it: 0660 by default.
	Mode os.FileMode
	// Group is the name or number of the group that the socket belongs to; "" keeps that of the process.
	Group string
	// TCP is host:port; "" listens on none.
	TCP string
	// TLS is required with TCP, and must require and verify client certificates: they are all that says who calls.
	TLS *tls.Config
}

// Listen opens what the options say, or nothing. A socket that a dead process has left is replaced; one that somebody
// answers on is not, and neither is a file that is no socket. Closing a unix listener removes its socket.
func Listen(ctx context.Context, options ListenOptions) (_ []net.Listener, err error) {
	if options.UnixSocket == "" && options.TCP == "" {
		return nil, errors.New("api: neither a unix socket nor a TCP address to listen on")
	}
	var listeners []net.Listener
	defer func() {
		if err != nil {
			for _, listener := range listeners {
				_ = listener.Close()
			}
		}
	}()
	if options.UnixSocket != "" {
		listener, err := listenUnix(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("api: listen on %s: %w", options.UnixSocket, err)
		}
		listeners = append(listeners, listener)
	}
	if options.TCP != "" {
		listener, err := listenTLS(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("api: listen on %s: %w", options.TCP, err)
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

func listenTLS(ctx context.Context, options ListenOptions) (net.Listener, error) {
	config := options.TLS
	switch {
	case config == nil:
		return nil, errors.New("refusing TCP without TLS")
	case config.ClientAuth != tls.RequireAndVerifyClientCert:
		return nil, errors.New("refusing TCP without client authentication: TLS must require and verify client certificates")
	case config.ClientCAs == nil && config.GetConfigForClient == nil:
		return nil, errors.New("refusing TCP that would trust the system's CAs for clients: TLS needs ClientCAs")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.TCP)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	if config.MinVersion < tls.VersionTLS12 {
		config.MinVersion = tls.VersionTLS12
	}
	if len(config.NextProtos) == 0 {
		config.NextProtos = []string{"http/1.1"}
	}
	return tls.NewListener(listener, config), nil
}

// listenUnix makes the socket under another name, gives it its mode and group, and only then puts it in its place: there
// is no moment in which others could connect, or nobody.
func listenUnix(ctx context.Context, options ListenOptions) (_ net.Listener, err error) {
	path := options.UnixSocket
	if err := replaceable(ctx, path); err != nil {
		return nil, err
	}
	// Beside it, for the rename; in a folder of its own that only we may enter.
	folder, err := os.MkdirTemp(filepath.Dir(path), ".api-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	fresh := filepath.Join(folder, "s")
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", fresh)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = listener.Close()
		}
	}()
	listener.(*net.UnixListener).SetUnlinkOnClose(false) //nolint:forcetypeassert // "unix" listeners are
	if options.Group != "" {
		group, err := groupID(options.Group)
		if err != nil {
			return nil, err
		}
		if err := os.Chown(fresh, -1, group); err != nil {
			return nil, err
		}
	}
	mode := options.Mode
	if mode == 0 {
		mode = 0o660
	}
	if err := os.Chmod(fresh, mode); err != nil {
		return nil, err
	}
	own, err := os.Lstat(fresh)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(fresh, path); err != nil {
		return nil, err
	}
	return &unixListener{Listener: listener, path: path, own: own}, nil
}

// replaceable returns nil if there is nothing at path, or a socket that nobody answers on.
func replaceable(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("there is a file at that path that is no socket")
	}
	connection, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		_ = connection.Close()
		return errors.New("another process is listening there")
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	}
	// EAGAIN is a full backlog, EACCES somebody else's socket: alive for all we know.
	return fmt.Errorf("another process may be listening there: %w", err)
}

func groupID(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(group.Gid)
}

// unixListener removes its socket when it closes, unless another process has put its own there.
type unixListener struct {
	net.Listener
	path string
	own  os.FileInfo
	once sync.Once
}

func (l *unixListener) Close() error {
	l.once.Do(func() {
		if there, err := os.Lstat(l.path); err == nil && os.SameFile(there, l.own) {
			_ = os.Remove(l.path)
		}
	})
	return l.Listener.Close()
}

// Addr returns the path that the socket was moved to.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
