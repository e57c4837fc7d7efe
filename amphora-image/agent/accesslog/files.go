package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// files are those of one log. Each has a number that only grows, so that a place in the log is a number and an offset
// whatever becomes of the files: inodes come back, and so do names that are shifted.
type files struct{ dir string }

// live is the file that Envoy opens.
func (f files) live() string { return filepath.Join(f.dir, translate.AccessLogFile) }

// aside is the file of a number that is no longer the live one.
func (f files) aside(number int) string { return fmt.Sprintf("%s.%06d", f.live(), number) }

// listing is what there is at one moment.
type listing struct {
	// aside are the numbers of the files that were put aside, oldest first.
	aside []int
	// isLive says that there is a live file. Without it and with files put aside, Envoy still writes to the newest of those, or
	// has ended.
	isLive bool
}

// next is the number that the live file has, or will have.
func (l listing) next() int {
	if len(l.aside) == 0 {
		return 1
	}
	return l.aside[len(l.aside)-1] + 1
}

// all are the numbers of all files, oldest first.
func (l listing) all() []int {
	if !l.isLive {
		return l.aside
	}
	return append(slices.Clone(l.aside), l.next())
}

func (f files) list() (listing, error) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return listing{}, err
	}
	var found listing
	for _, entry := range entries {
		if entry.Name() == translate.AccessLogFile {
			found.isLive = true
			continue
		}
		suffix, ok := strings.CutPrefix(entry.Name(), translate.AccessLogFile+".")
		if number, err := strconv.Atoi(suffix); ok && err == nil && number > 0 && f.aside(number) == filepath.Join(f.dir, entry.Name()) {
			found.aside = append(found.aside, number)
		}
	}
	slices.Sort(found.aside)
	return found, nil
}

// path is where the file of a number is.
func (f files) path(found listing, number int) string {
	if found.isLive && number == found.next() {
		return f.live()
	}
	return f.aside(number)
}

// size is that of a file in bytes; 0 when it is not there.
func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Mend ends the last line of the log in dir. Call it before Envoy starts: one that was killed may have left half a line,
// which would spoil the first line of the next.
func Mend(dir string) error {
	file, err := os.OpenFile(files{dir}.live(), os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return err
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], info.Size()-1); err != nil {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	_, err = file.WriteString("\n")
	return err
}
