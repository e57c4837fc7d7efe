package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
)

// TestBatchMembers replaces the members of a pool in all the ways that Octavia's API has.
func TestBatchMembers(t *testing.T) {
	t.Parallel()
	c := shared
	// Nobody is at the last address: of weight 0, it is never asked.
	nobody := fields{"name": "nobody", "address": "203.0.113.29", "protocol_port": 80, "weight": 0}
	s := c.populate(t, "e2e-batch", []fields{listener("web", "HTTP", 80, "web")},
		[]fields{pool("web", "HTTP", []fields{c.member(1, 80), nobody})})
	path := "pools/" + s.id(t, "pool web") + "/members"
	batch := func(query string, members ...fields) {
		t.Helper()
		s.do(t, http.MethodPut, path+query, fields{"members": append([]fields{}, members...)}) // never null
	}
	// has checks the members that Octavia lists, each ACTIVE, and whom of them a client meets.
	has := func(what, list string, meets ...string) {
		t.Helper()
		var names []string
		for _, member := range c.list(t, path) {
			names = append(names, member.Name)
			c.mustBeActive(t, "after "+what+" member", member)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != list {
			t.Errorf("after %s, the members are %s, not %s", what, got, list)
		}
		if len(meets) == 0 {
			c.answers(t, s.at(80), "/", "503")
			return
		}
		got := slices.Sorted(maps.Keys(c.spread(t, s.at(80), 20)))
		if !slices.Equal(got, meets) {
			t.Errorf("after %s, clients meet %v, not %v", what, got, meets)
		}
	}
	has("the creation", "member1 nobody", "member1")

	batch("", c.member(1, 80, fields{"name": "changed", "weight": 0}), c.member(2, 80))
	has("adding, changing and deleting at once", "changed member2", "member2")

	batch("", c.member(1, 80, fields{"name": "changed", "weight": 0}), c.member(2, 80))
	has("changing nothing", "changed member2", "member2")

	batch("?additive_only=true", nobody)
	has("adding only", "changed member2 nobody", "member2")

	batch("?additive_only=true", c.member(1, 80, fields{"weight": 1}), c.member(2, 80, fields{"admin_state_up": false}))
	has("adding only, what is there", "member1 member2 nobody", "member1")

	batch("?additive_only=true")
	has("adding nothing", "member1 member2 nobody", "member1")

	// Refused batches change nothing.
	for name, test := range map[string]struct {
		members []fields
		status  int
		want    string
	}{
		"a member twice": {
			[]fields{c.member(1, 80), c.member(1, 80)}, http.StatusBadRequest, "Member must be updated only once in the same request.",
		},
		"a new member twice": {
			[]fields{c.member(1, 80), c.member(2, 8081), c.member(2, 8081)}, http.StatusConflict, "already",
		},
		"a weight": {
			[]fields{c.member(1, 80), c.member(2, 80, fields{"weight": 257})}, http.StatusBadRequest, "257",
		},
	} {
		t.Run(name, func(t *testing.T) {
			status, sentence := c.refusal(t, http.MethodPut, path, fields{"members": test.members})
			if status != test.status || !strings.Contains(sentence, test.want) {
				t.Errorf("%d: %s", status, sentence)
			}
			c.settle(t, s.lb.ID)
			has(name, "member1 member2 nobody", "member1")
		})
	}

	batch("")
	has("emptying", "")
	batch("")
	has("emptying what is empty", "")
	batch("", c.members(80)...)
	has("filling what is empty", "member1 member2", "member1", "member2")
	s.allActive(t)
}

// refusal sends a call once, and returns its status and the sentence that a user reads; "" when it was accepted.
func (c *cloud) refusal(t *testing.T, method, path string, body any) (int, string) {
	t.Helper()
	response, err := c.octavia.Request(t.Context(), method, c.octavia.ServiceURL("lbaas")+"/"+path, &gophercloud.RequestOpts{ //nolint:bodyclose // gophercloud closes it
		JSONBody: body, OkCodes: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent},
	})
	if err == nil {
		return response.StatusCode, ""
	}
	var refused gophercloud.ErrUnexpectedResponseCode
	if !errors.As(err, &refused) {
		t.Fatal(fmt.Errorf("no answer: %w", err))
	}
	return refused.Actual, string(refused.Body)
}
