package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

func TestOCSPResponses(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		s := storetest.OpenAt(t, dsn, func() time.Time { return now })
		one, other := strings.Repeat("1", 64), strings.Repeat("2", 64)
		put := func(fingerprint, response string, fetched time.Time) {
			t.Helper()
			err := s.PutOCSPResponse(t.Context(), store.OCSPResponse{Fingerprint: fingerprint, Response: []byte(response), FetchedAt: fetched})
			if err != nil {
				t.Fatal(err)
			}
		}
		want := func(fingerprint, response string) {
			t.Helper()
			got, err := s.OCSPResponse(t.Context(), fingerprint)
			if response == "" && errors.Is(err, store.ErrNotFound) {
				return
			}
			if err != nil || string(got.Response) != response {
				t.Errorf("got %v, %v; want %q", got, err, response)
			}
		}
		want(one, "")
		put(one, "\x00first\xff", time.Time{})
		put(other, "other", now)
		want(one, "\x00first\xff")
		put(one, "second", now.Add(time.Hour))
		put(one, "late", now.Add(time.Minute)) // a slower controller's
		want(one, "second")

		now = now.Add(48 * time.Hour)
		deleted, err := s.KeepOCSPResponses(t.Context(), []string{one}, now.Add(-24*time.Hour))
		if err != nil || deleted != 1 {
			t.Errorf("deleted %d, %v; want the one that is not in use", deleted, err)
		}
		want(one, "second")
		want(other, "")
	})
}
