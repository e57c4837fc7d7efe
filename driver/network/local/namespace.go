package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// InNamespace runs do on a thread that is in the network namespace at path. Processes that do starts are in it for good.
func InNamespace(path string, do func() error) error {
	target, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	defer func() { _ = target.Close() }()
	return onThread(func() error {
		if err := netns.Set(target); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		return do()
	})
}

// onThread runs do on a thread of its own. The thread is never unlocked, so it ends with its goroutine: no other code can
// find itself in the wrong namespace.
func onThread(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			// The process's first thread cannot end: it would stay in the namespace, and /proc/self with it. While it is
			// held here, another one runs do.
			defer runtime.UnlockOSThread()
			done <- onThread(do)
			return
		}
		done <- do()
	}()
	return <-done
}

// ensureNamespace makes the namespace of an amphora if there is none, and returns it. Close it.
func ensureNamespace(amphoraID string) (netns.NsHandle, error) {
	path := NamespacePath(amphoraID)
	mounted, err := isNamespace(path)
	if err != nil {
		return netns.None(), err
	}
	if !mounted {
		// What is left of a making that was cut short between file and mount would be in the way.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return netns.None(), fmt.Errorf("network namespace %s: %w", path, err)
		}
		err := onThread(func() error {
			made, err := netns.NewNamed(NamespaceName(amphoraID))
			if err != nil {
				return fmt.Errorf("make network namespace %s: %w", path, err)
			}
			return made.Close()
		})
		if err != nil {
			return netns.None(), err
		}
	}
	handle, err := netns.GetFromPath(path)
	if err != nil {
		return netns.None(), fmt.Errorf("network namespace %s: %w", path, err)
	}
	return handle, nil
}

func isNamespace(path string) (bool, error) {
	var stat unix.Statfs_t
	err := unix.Statfs(path, &stat)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("network namespace %s: %w", path, err)
	}
	return stat.Type == unix.NSFS_MAGIC, nil
}

func removeNamespace(amphoraID string) error {
	path := NamespacePath(amphoraID)
	for {
		mounted, err := isNamespace(path)
		if err != nil {
			return err
		}
		if !mounted {
			break
		}
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("remove network namespace %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove network namespace %s: %w", path, err)
	}
	return nil
}
