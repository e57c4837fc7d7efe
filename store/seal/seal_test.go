package seal_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/store/seal"
)

func ring(t *testing.T, lines ...[]byte) *seal.Keyring {
	t.Helper()
	var file []byte
	for _, line := range lines {
		file = append(file, line...)
	}
	ring, err := seal.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestSealAndOpen(t *testing.T) {
	first, second := seal.NewLine("first"), seal.NewLine("second")
	before := ring(t, first)
	id, sealed := before.Seal("lb", []byte("a private key"))
	if id != "first" || strings.Contains(string(sealed), "private") {
		t.Fatalf("sealed with %q: %q", id, sealed)
	}
	if _, again := before.Seal("lb", []byte("a private key")); string(again) == string(sealed) {
		t.Error("the same bytes twice: no nonce")
	}
	// A new key on top seals; the old one still opens.
	both := ring(t, second, first)
	if clear, err := both.Open(id, "lb", sealed); err != nil || string(clear) != "a private key" {
		t.Errorf("opened %q, %v", clear, err)
	}
	if newID, _ := both.Seal("lb", nil); newID != "second" {
		t.Errorf("%s seals", newID)
	}
	if _, err := ring(t, second).Open(id, "lb", sealed); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("without its key: %v", err)
	}
	if _, err := both.Open(id, "another", sealed); err == nil || errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("for another name: %v", err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := both.Open(id, "lb", sealed); err == nil {
		t.Error("damaged bytes open")
	}
	if _, err := both.Open(id, "lb", nil); err == nil {
		t.Error("no bytes open")
	}
}

func TestParse(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	for name, file := range map[string]string{
		"empty":     "\n# nothing\n",
		"no id":     key,
		"three":     "a " + key + " b",
		"short":     "a " + key[:8],
		"exchanged": key + " a",
		"no base64": "a " + strings.Repeat("!", len(key)),
		"twice":     "a " + key + "\na " + key,
		"long id":   strings.Repeat("a", 65) + " " + key,
	} {
		_, err := seal.Parse([]byte(file))
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), key[:8]) {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
	parsed, err := seal.Parse([]byte("# the first seals\n  new\t" + key + "  \r\n\nold " + key + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Active() != "new" || !parsed.Has("old") || parsed.Has("none") {
		t.Errorf("got %v", parsed)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, parsed); text != "keys new, old" {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "secrets.key")
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	actives := make([]string, 8)
	sealedBy := make([][]byte, len(actives))
	var all sync.WaitGroup
	rings := make([]*seal.Keyring, len(actives))
	for i := range rings {
		all.Go(func() {
			made, err := seal.LoadOrCreate(path, now)
			if err != nil {
				t.Error(err)
				return
			}
			rings[i] = made
			actives[i], sealedBy[i] = made.Seal("lb", []byte("x"))
		})
	}
	all.Wait()
	for i := range rings {
		if clear, err := rings[0].Open(actives[i], "lb", sealedBy[i]); err != nil || string(clear) != "x" || actives[i] != "2026-11-23" {
			t.Errorf("two controllers made two files: %q, %v", clear, err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreate(path, now); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: %v", err)
	}
}
