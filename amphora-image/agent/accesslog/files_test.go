package accesslog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// writer writes a log as Envoy does: to the file that it has open, until it gets round to opening the next one.
type writer struct {
	t       *testing.T
	files   files
	file    *os.File
	asked   bool
	refuses bool
	lines   int
}

// Do implements Admin.
func (w *writer) Do(_ context.Context, _, path string) ([]byte, error) {
	if w.refuses {
		return nil, errors.New("no answer")
	}
	if path == "/reopen_logs" {
		w.asked = true
	}
	return nil, nil
}

// Stats implements Admin.
func (*writer) Stats(context.Context, string) (map[string]uint64, error) { return nil, nil }

// reopen is what Envoy's flush does when it was asked to.
func (w *writer) reopen() {
	if w.file != nil && !w.asked {
		return
	}
	w.close()
	var err error
	if w.file, err = os.OpenFile(w.files.live(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.asked = false
}

func (w *writer) close() {
	if w.file != nil {
		_ = w.file.Close()
		w.file = nil
	}
}

// write writes lines of up to 100 bytes, numbered from 0.
func (w *writer) write(count int) {
	w.t.Helper()
	var text bytes.Buffer
	for range count {
		fmt.Fprintf(&text, `{"n":%d,"x":%q}`+"\n", w.lines, strings.Repeat("x", w.lines%80))
		w.lines++
	}
	if _, err := w.file.Write(text.Bytes()); err != nil {
		w.t.Fatal(err)
	}
}

// rig is a keeper without a sender; the test is the sender.
func rig(t *testing.T, config Config) (*keeper, *writer) {
	t.Helper()
	config.SetDefaults(t.TempDir())
	envoy := &writer{t: t, files: files{config.Dir}}
	t.Cleanup(envoy.close)
	k := &keeper{
		config: config, files: files{config.Dir}, admin: envoy, logger: slog.New(slog.DiscardHandler),
		spool: openSpool(files{config.Dir}, slog.New(slog.DiscardHandler)), guard: &guard{},
	}
	return k, envoy
}

func (k *keeper) mustTend(t *testing.T) {
	t.Helper()
	if err := k.tend(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// take takes a batch, and says that it was sent.
func take(t *testing.T, s *spool) []string {
	t.Helper()
	next, err := s.next()
	if err != nil {
		t.Fatal(err)
	}
	if len(next.lines) == 0 {
		return nil
	}
	var lines []string
	for _, line := range next.lines {
		lines = append(lines, string(line))
	}
	s.commit(next, len(next.lines))
	return lines
}

func numberOf(t *testing.T, line string) int {
	t.Helper()
	var number int
	if _, err := fmt.Sscanf(line, `{"n":%d`, &number); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return number
}

// TestNoLineIsLost lets writer, keeper and sender take turns at random, and agents be killed: every line comes, in order; after a kill
// some come again.
func TestNoLineIsLost(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 0))
		k, envoy := rig(t, Config{MaxFileBytes: 2000, Files: 1000})
		envoy.reopen()
		next, kills := 0, 0
		for step := 0; ; step++ {
			switch turn := random.IntN(10); {
			case step > 300:
				envoy.reopen()
				k.mustTend(t)
			case turn < 3:
				envoy.write(random.IntN(20))
			case turn < 5:
				envoy.reopen()
			case turn < 7:
				k.mustTend(t)
			case turn == 7 && kills < 3:
				k.spool = openSpool(k.files, k.logger)
				envoy.asked = envoy.asked && random.IntN(2) == 0 // killed before it could ask
				kills++
				next = -1
				continue
			}
			lines := take(t, k.spool)
			for _, line := range lines {
				number := numberOf(t, line)
				if next >= 0 && number != next {
					t.Fatalf("seed %d: step %d: line %d after %d, at %+v", seed, step, number, next-1, k.spool.progress())
				}
				next = number + 1
			}
			if next == -1 {
				continue
			}
			if step > 320 && len(lines) == 0 {
				break
			}
		}
		if next != envoy.lines {
			t.Fatalf("seed %d: %d lines of %d", seed, next, envoy.lines)
		}
		if found, err := k.files.list(); err != nil || (envoy.lines > 300 && len(found.aside) == 0) {
			t.Fatalf("seed %d: no file was put aside of %d lines, %v", seed, envoy.lines, err)
		}
	}
}

// TestAKilledAgentGoesOn: after a kill, the sender is never ahead of what was sent.
func TestAKilledAgentGoesOn(t *testing.T) {
	k, envoy := rig(t, Config{MaxFileBytes: 2000, Files: 10})
	envoy.reopen()
	envoy.write(10)
	first := take(t, k.spool)
	k.mustTend(t) // saves
	envoy.write(10)
	second := take(t, k.spool)
	again := take(t, openSpool(k.files, k.logger))
	if diff := cmp.Diff(second, again); len(first) != 10 || diff != "" {
		t.Errorf("%d lines, then (-first +again):\n%s", len(first), diff)
	}
	if err := k.spool.save(); err != nil {
		t.Fatal(err)
	}
	if rest := take(t, openSpool(k.files, k.logger)); len(rest) != 0 {
		t.Errorf("sent twice: %v", rest)
	}
}

// TestTheLogIsBounded: nothing is sent, and files go; what was lost is counted.
func TestTheLogIsBounded(t *testing.T) {
	k, envoy := rig(t, Config{MaxFileBytes: 2000, Files: 3})
	envoy.reopen()
	for range 100 {
		envoy.write(10)
		k.mustTend(t)
		envoy.reopen()
		// A file may be too long by what was written in between.
		if total := sizeOf(t, k.files); total > 3*(2000+1200) {
			t.Fatalf("the log has %d bytes", total)
		}
	}
	kept := 0
	for lines := take(t, k.spool); len(lines) > 0; lines = take(t, k.spool) {
		kept += len(lines)
	}
	if done := k.spool.progress(); done.Dropped == 0 || int(done.Dropped)+kept != envoy.lines || int(done.Sent) != kept {
		t.Errorf("%d lines were written, %d came, and it says %+v", envoy.lines, kept, done)
	}
}

func sizeOf(t *testing.T, at files) (total int64) {
	t.Helper()
	entries, err := os.ReadDir(at.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	return total
}

// TestASlowSenderLosesTheOldest: its file goes while it sends from it.
func TestASlowSenderLosesTheOldest(t *testing.T) {
	k, envoy := rig(t, Config{MaxFileBytes: 2000, Files: 2})
	envoy.reopen()
	envoy.write(30)
	held, err := k.spool.next()
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		envoy.write(30)
		k.mustTend(t)
		envoy.reopen()
	}
	k.spool.commit(held, len(held.lines)) // which has been counted as lost meanwhile: better than the other way round
	dropped := int(k.spool.progress().Dropped)
	if dropped == 0 {
		t.Fatal("nothing was lost")
	}
	next := dropped
	for lines := take(t, k.spool); len(lines) > 0; lines = take(t, k.spool) {
		for _, line := range lines {
			if number := numberOf(t, line); number != next {
				t.Fatalf("line %d, want %d", number, next)
			}
			next++
		}
	}
	if next != envoy.lines {
		t.Errorf("%d lines of %d", next, envoy.lines)
	}
}

// TestEnvoyDoesNotOpenItsLogAnew: its admin interface is silent, and still the disk does not fill up.
func TestEnvoyDoesNotOpenItsLogAnew(t *testing.T) {
	k, envoy := rig(t, Config{MaxFileBytes: 2000, Files: 3})
	envoy.reopen()
	envoy.refuses = true
	for range 10 * askedOften {
		envoy.write(10)
		k.mustTend(t)
		if total := sizeOf(t, k.files); total > (askedOften+3)*1200 {
			t.Fatalf("the log has %d bytes", total)
		}
	}
	envoy.refuses = false
	k.mustTend(t)
	envoy.reopen()
	envoy.write(1)
	kept := 0
	for lines := take(t, k.spool); len(lines) > 0; lines = take(t, k.spool) {
		kept += len(lines)
	}
	if done := k.spool.progress(); int(done.Dropped)+kept != envoy.lines {
		t.Errorf("%d lines were written, %d came, and it says %+v", envoy.lines, kept, done)
	}
}

// TestTheSenderHoldsWhatIsEmptied: the file that it sends from begins anew.
func TestTheSenderHoldsWhatIsEmptied(t *testing.T) {
	k, envoy := rig(t, Config{MaxFileBytes: 2000, Files: 3})
	envoy.reopen()
	envoy.refuses = true
	envoy.write(100)
	k.mustTend(t)
	held, err := k.spool.next()
	if err != nil || len(held.lines) == 0 {
		t.Fatal(held, err)
	}
	for range askedOften {
		k.mustTend(t)
	}
	k.spool.commit(held, len(held.lines))
	envoy.write(10)
	if got := take(t, k.spool); len(got) != 10 || numberOf(t, got[0]) != 100 {
		t.Errorf("got %.60q", got)
	}
}

// TestNoLineIsLostBetweenTwoLooks is TestNoLineIsLost with a writer that waits for nobody.
func TestNoLineIsLostBetweenTwoLooks(t *testing.T) {
	k, envoy := rig(t, Config{MaxFileBytes: 2000, Files: 10_000})
	asked := make(chan struct{}, 1)
	k.admin = asks(asked)
	envoy.reopen()
	written := make(chan struct{})
	go func() {
		defer close(written)
		for range 5000 {
			envoy.write(5)
			select {
			case <-asked:
				envoy.write(5)
				envoy.asked = true
				envoy.reopen()
			default:
			}
		}
	}()
	next := 0
	for ended := false; ; {
		// Thirty looks are half a minute, after which an Envoy counts as hung and its file is emptied. Here they take no time.
		k.asked = 0
		k.mustTend(t)
		lines := take(t, k.spool)
		for _, line := range lines {
			if number := numberOf(t, line); number != next {
				t.Fatalf("line %d after %d", number, next-1)
			}
			next++
		}
		if ended && len(lines) == 0 {
			break
		}
		select {
		case <-written:
			ended = true
		default:
		}
	}
	if next != envoy.lines {
		t.Errorf("%d lines of %d", next, envoy.lines)
	}
}

// asks hands on that Envoy was asked to open its log anew.
type asks chan struct{}

// Do implements Admin.
func (a asks) Do(context.Context, string, string) ([]byte, error) {
	select {
	case a <- struct{}{}:
	default:
	}
	return nil, nil
}

// Stats implements Admin.
func (asks) Stats(context.Context, string) (map[string]uint64, error) { return nil, nil }

func TestFilesOfOthersStay(t *testing.T) {
	k, envoy := rig(t, Config{MaxFileBytes: 100, Files: 2})
	others := []string{"access.log.1", "access.log.gz", "access.log.000001.gz", "other.log", "access.log.-00001"}
	for _, name := range others {
		if err := os.WriteFile(filepath.Join(k.config.Dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	envoy.reopen()
	for range 5 {
		envoy.write(10)
		k.mustTend(t)
		envoy.reopen()
	}
	found, err := k.files.list()
	if diff := cmp.Diff([]int{5}, found.aside); diff != "" || !found.isLive || err != nil {
		t.Errorf("files (-want +got):\n%s\n%v %v", diff, found.isLive, err)
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(k.config.Dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestMend(t *testing.T) {
	dir := t.TempDir()
	if err := Mend(dir); err != nil {
		t.Fatal(err)
	}
	for before, after := range map[string]string{"": "", "{}\n": "{}\n", "{}\n{\"a": "{}\n{\"a\n"} {
		if err := os.WriteFile(files{dir}.live(), []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Mend(dir); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(files{dir}.live()); err != nil || string(got) != after {
			t.Errorf("%q became %q, %v", before, got, err)
		}
	}
}

// TestGarbageInTheLog: lines without end, and files without lines.
func TestGarbageInTheLog(t *testing.T) {
	k, envoy := rig(t, Config{MaxFileBytes: 1 << 20, Files: 10})
	envoy.reopen()
	if _, err := envoy.file.Write(bytes.Repeat([]byte("x"), 3*batchBytes)); err != nil {
		t.Fatal(err)
	}
	if _, err := envoy.file.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	envoy.write(3)
	if _, err := envoy.file.WriteString("half a li"); err != nil {
		t.Fatal(err)
	}
	var all []string
	for lines := take(t, k.spool); len(lines) > 0; lines = take(t, k.spool) {
		all = append(all, lines...)
	}
	if numberOf(t, all[len(all)-1]) != 2 {
		t.Errorf("the last of %d lines is %.40q", len(all), all[len(all)-1])
	}
	// With the next file there, the half line is all that comes.
	if err := os.Rename(k.files.live(), k.files.aside(1)); err != nil {
		t.Fatal(err)
	}
	envoy.asked = true
	envoy.reopen()
	envoy.write(1)
	if got := take(t, k.spool); len(got) != 1 || got[0] != "half a li" {
		t.Errorf("got %.60q", got)
	}
	if got := take(t, k.spool); len(got) != 1 || numberOf(t, got[0]) != 3 {
		t.Errorf("got %.60q", got)
	}
	// Somebody deletes everything.
	for _, path := range []string{k.files.live(), k.files.aside(1)} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if got := take(t, k.spool); len(got) != 0 {
		t.Errorf("got %.60q", got)
	}
	envoy.asked = true
	envoy.reopen()
	envoy.write(1)
	if got := take(t, k.spool); len(got) != 1 || numberOf(t, got[0]) != 4 {
		t.Errorf("got %.60q", got)
	}
}

func (s *spool) progress() Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}
