package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

const (
	// batchBytes is what is read at once. A line is far shorter, see translate.AccessLogFields.
	batchBytes = 64 << 10
	// stateFile is where the sender is, in the log's directory.
	stateFile = "syslog.json"
)

// place is one in the log: a file's number and an offset in bytes.
type place struct {
	File   int   `json:"file"`
	Offset int64 `json:"offset"`
}

// Progress is what the state file holds: how far the sender is, and what became of the lines since the amphora was made.
type Progress struct {
	place
	// Sent lines were taken by a connection to a receiver.
	Sent uint64 `json:"sent"`
	// Dropped lines went with their file before they could be sent.
	Dropped uint64 `json:"dropped"`
	// Broken lines are no JSON, or too long for the transport: an Envoy was killed while it wrote, or the disk was full.
	Broken uint64 `json:"broken"`
}

// spool reads the log for the sender. A nil spool, without a sender, loses nothing.
type spool struct {
	files files

	mu    sync.Mutex
	done  Progress
	saved Progress
	// turn changes whenever the keeper takes away what the sender may just be sending.
	turn int
	// file is open at the number of done, or nil.
	file   *os.File
	opened int
	buffer []byte
}

// openSpool goes on where the last one was; without that, at the oldest line: better twice than never.
func openSpool(at files, logger *slog.Logger) *spool {
	s := &spool{files: at, buffer: make([]byte, batchBytes)}
	data, err := os.ReadFile(s.statePath())
	if err == nil {
		err = json.Unmarshal(data, &s.done)
	}
	if err != nil {
		s.done = Progress{}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		logger.Warn("cannot tell what was sent of the access log: beginning with the oldest line", "error", err)
	}
	s.saved = s.done
	return s
}

func (s *spool) statePath() string { return filepath.Join(s.files.dir, stateFile) }

// save writes the state, if it has changed.
func (s *spool) save() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	now := s.done
	changed := now != s.saved
	s.mu.Unlock()
	if !changed {
		return nil
	}
	data, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if err := certs.WriteFile(s.statePath(), append(data, '\n'), 0o600); err != nil {
		return err
	}
	s.mu.Lock()
	s.saved = now
	s.mu.Unlock()
	return nil
}

// batch is some lines, without their ends, and where they are. The lines hold until the next batch.
type batch struct {
	to    place
	turn  int
	lines [][]byte
}

// next returns the lines that come after what was committed: none when all that is there was.
func (s *spool) next() (batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		found, err := s.files.list()
		if err != nil {
			return batch{}, err
		}
		all := found.all()
		if len(all) == 0 {
			return batch{}, nil
		}
		if s.done.File < all[0] || s.done.File > all[len(all)-1] { // the first time, or somebody has deleted files
			s.done.place = place{File: all[0]}
		}
		// Envoy has written the last of a file when there is another one after it. Look before reading.
		final := all[len(all)-1] > s.done.File
		count, err := s.read(s.files.path(found, s.done.File))
		if err != nil {
			return batch{}, err
		}
		text := s.buffer[:count]
		end := bytes.LastIndexByte(text, '\n') + 1
		switch {
		case end > 0:
		case count == len(s.buffer) || (final && count > 0):
			end = count // no line at all, or the half of one
		case final:
			s.done.place = place{File: all[slices.IndexFunc(all, func(n int) bool { return n > s.done.File })]}
			continue
		default:
			return batch{}, nil
		}
		got := batch{turn: s.turn, to: place{s.done.File, s.done.Offset + int64(end)}}
		for line := range bytes.Lines(text[:end]) {
			got.lines = append(got.lines, bytes.TrimRight(line, "\n"))
		}
		return got, nil
	}
}

// read fills the buffer from where the sender is.
func (s *spool) read(path string) (int, error) {
	if s.file != nil && s.opened != s.done.File {
		_ = s.file.Close()
		s.file = nil
	}
	if s.file == nil {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		s.file, s.opened = file, s.done.File
	}
	count, err := s.file.ReadAt(s.buffer, s.done.Offset)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return count, err
}

// commit goes on after a batch, of whose lines that many were sent.
func (s *spool) commit(b batch, sent int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.Sent += uint64(sent)                  //nolint:gosec // not negative
	s.done.Broken += uint64(len(b.lines) - sent) //nolint:gosec // the same
	if s.turn == b.turn {
		s.done.place = b.to
	} // else what was not sent before this batch has been counted as dropped
}

// move does something to the files while the sender does not look for one: they change their names.
func (s *spool) move(do func() error) error {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	return do()
}

// lose takes the lines of a file that was put aside away from the sender, and returns how many it had not sent. The sender goes on
// with the next file, or in the same one if that is only emptied.
func (s *spool) lose(number int, emptied bool, do func() error) (lines uint64, err error) {
	if s == nil {
		return 0, do()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done.File > number {
		return 0, do()
	}
	var from int64
	if s.done.File == number {
		from = s.done.Offset
	}
	if lines, err = countLines(s.files.aside(number), from); err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	s.turn++
	s.done.Dropped += lines
	s.done.place = place{File: number + 1}
	if emptied {
		s.done.place = place{File: number}
	}
	return lines, nil
}

func countLines(path string, from int64) (lines uint64, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return 0, err
	}
	buffer := make([]byte, batchBytes)
	for {
		count, err := file.Read(buffer)
		lines += uint64(bytes.Count(buffer[:count], []byte{'\n'})) //nolint:gosec // not negative
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
	}
}
