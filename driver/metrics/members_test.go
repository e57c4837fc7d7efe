package metrics

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

type counts struct {
	online, asked int
	err           error
}

func (c *counts) MemberStatuses(context.Context) (map[string]map[model.OperatingStatus]int, error) {
	c.asked++
	return map[string]map[model.OperatingStatus]int{"lb": {model.OperatingOnline: c.online}}, c.err
}

func TestMembersAreCountedNowAndThen(t *testing.T) {
	now := time.Unix(0, 0)
	stored := &counts{online: 1}
	members := &Members{Store: stored, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }}
	want := func(online, asked int) {
		t.Helper()
		require.Equal(t, online, members.Counts()["lb"][model.OperatingOnline])
		require.Equal(t, asked, stored.asked)
	}
	want(1, 1)
	stored.online = 2
	want(1, 1)
	now = now.Add(countFor)
	want(2, 2)
	now = now.Add(countFor)
	stored.online, stored.err = 0, errors.New("away")
	want(2, 3)
	want(2, 3)
}
