package health

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
)

const (
	// maxLog is the size in bytes at which the log is emptied. What Envoy writes until the next look comes on top.
	maxLog = 4 << 20
	// mark is what the agent writes to a log that it has emptied: one that comes after it must not take what is missing for checks
	// that have not ended.
	mark = `{"emptied":true}`
)

// tail reads the lines that Envoy appends to its log. It opens the file with O_APPEND, and may be writing while it is emptied.
type tail struct {
	path string
	max  int64

	file *os.File
	// offset is where the next line begins; rest is the beginning of one that has not ended.
	offset int64
	rest   []byte
	// whole says that nothing is missing since the file was made.
	whole bool
}

// restart forgets the log. Call it before Envoy is started: what is in it is another's.
func (t *tail) restart() error {
	t.close()
	t.offset, t.rest, t.whole = 0, nil, true
	if err := os.Truncate(t.path, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}

// read hands over the lines that are new. A log that has become too large is emptied afterwards; cut says so, since a line
// that came at that moment is lost.
func (t *tail) read(line func([]byte)) (cut bool, err error) {
	if t.file == nil {
		if t.file, err = os.Open(t.path); errors.Is(err, fs.ErrNotExist) {
			t.file = nil
			return false, nil // no monitor, yet
		}
		if err != nil {
			t.file = nil
			return false, err
		}
		info, err := t.file.Stat()
		if err != nil {
			return false, err
		}
		if t.offset == 0 && info.Size() > 2*t.max { // while no agent ran
			t.offset, t.whole = info.Size()-t.max, false
		}
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := t.file.ReadAt(buffer, t.offset)
		t.offset += int64(n)
		t.lines(buffer[:n], line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return false, err
		}
	}
	if t.offset < t.max {
		return false, nil
	}
	return true, t.empty()
}

func (t *tail) lines(data []byte, line func([]byte)) {
	t.rest = append(t.rest, data...)
	for {
		one, after, ended := bytes.Cut(t.rest, []byte("\n"))
		if !ended {
			break
		}
		if bytes.Equal(one, []byte(mark)) {
			t.whole = false
		} else if len(one) > 0 {
			line(one)
		}
		t.rest = after
	}
	t.rest = bytes.Clone(t.rest)
}

// empty empties the file under Envoy, which goes on at its new end.
func (t *tail) empty() error {
	file, err := os.OpenFile(t.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := file.Truncate(0); err != nil {
		return err
	}
	t.offset, t.rest = 0, nil
	_, err = file.WriteString(mark + "\n")
	return err
}
