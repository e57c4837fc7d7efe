package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// crashDSN in the environment makes the test binary the child that is killed.
const crashDSN = "STORE_TEST_CRASH_DSN"

// crashChild adds intents from a few goroutines, for ever, and prints the id of each once AddIntent has returned.
func crashChild(dsn string) int {
	s, err := store.Open(context.Background(), store.Options{DSN: dsn})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				id, err := s.AddIntent(context.Background(), model.Intent{LoadBalancerID: newID(), Op: model.OpCreate}, store.Audit{})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				// One write a line: what is printed is whole or, for the last line, cut.
				if _, err := os.Stdout.WriteString(strconv.FormatInt(id, 10) + "\n"); err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return 1
}

// A controller that is killed at any moment has lost none of the intents that it said it had accepted.
func TestKilledWhileAdding(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		printed := map[int64]bool{}
		for range 5 {
			lines := 1 + rand.IntN(60)
			for _, id := range runUntil(t, self, dsn, lines) {
				if printed[id] {
					t.Errorf("id %d was given twice", id)
				}
				printed[id] = true
			}
			wantIntents(t, open(t, dsn), printed)
		}
	})
}

// runUntil starts the child, kills it after some lines, and returns all ids that it printed.
func runUntil(t *testing.T, self, dsn string, lines int) []int64 {
	t.Helper()
	child := exec.Command(self)
	child.Env = append(os.Environ(), crashDSN+"="+dsn)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []int64
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			break // the end, and maybe half a line
		}
		id, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			t.Fatalf("the child printed %q", line)
		}
		ids = append(ids, id)
		if len(ids) == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(ids) < lines {
		t.Fatalf("the child ended by itself after %d intents: %v", len(ids), err)
	}
	return ids
}

// wantIntents checks that the intents are there, each whole: with its load balancer and its audit entry.
func wantIntents(t *testing.T, s *store.Store, ids map[int64]bool) {
	t.Helper()
	work, err := s.LoadBalancersWithWork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var have []int64
	if err := s.DB().Table("intents").Pluck("id", &have).Error; err != nil {
		t.Fatal(err)
	}
	entries, err := s.AuditEntries(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	// Each was for a load balancer of its own.
	if len(work) != len(have) || len(entries) != len(have) {
		t.Errorf("%d intents, %d load balancers with work, %d audit entries", len(have), len(work), len(entries))
	}
	found := map[int64]bool{}
	for _, id := range have {
		found[id] = true
	}
	for id := range ids {
		if !found[id] {
			t.Errorf("intent %d was accepted and is lost", id)
		}
	}
}
