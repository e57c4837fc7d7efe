package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// LoadOrCreate reads a key file, or makes one (mode 0600) with one key, whose id is the day. Of several controllers that
// start at the same time on one machine, one makes it. A file that others than its owner may read is an error.
func LoadOrCreate(path string, now time.Time) (*Keyring, error) {
	ring, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	if err := create(path, NewLine(now.UTC().Format("2006-01-02"))); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the key file %s: %w", path, err)
	}
	return Load(path)
}

// Load reads a key file.
func Load(path string) (*Keyring, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key file %s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	ring, err := Parse(content)
	if err != nil {
		return nil, fmt.Errorf("the key file %s: %w", path, err)
	}
	return ring, nil
}

// create makes a file that appears whole or not at all; fs.ErrExist if another was first.
func create(path string, content []byte) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Link(file.Name(), path)
}
