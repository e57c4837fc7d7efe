package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestL7Positions inserts, deletes and moves L7 policies. Octavia renumbers the others without a call to the provider; the
// requests have to follow each time.
func TestL7Positions(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-positions", []fields{listener("web", "HTTP", 80, "web")},
		[]fields{pool("web", "HTTP", []fields{c.member(1, 80)})})
	// Each takes every request that does not say to skip it, and names itself.
	insert := func(name string, position int) {
		t.Helper()
		s.do(t, http.MethodPost, "l7policies", fields{"l7policy": fields{
			"name": name, "listener_id": s.id(t, "listener web"), "position": position,
			"action": "REDIRECT_TO_URL", "redirect_url": "http://" + name + ".example.com/",
		}})
		s.look(t)
		// Octavia 19 answers 500 when the rules come with the policy.
		s.do(t, http.MethodPost, "l7policies/"+s.id(t, "policy "+name)+"/rules", fields{"rule": fields{
			"type": "HEADER", "key": "X-Skip", "compare_type": "CONTAINS", "value": name, "invert": true,
		}})
	}
	// order checks the order of all, as a client finds it and as Octavia has it.
	order := func(after string, want ...string) {
		t.Helper()
		var skip []string
		for _, name := range want {
			c.answers(t, s.at(80), "/", "http://"+name+".example.com/", header("X-Skip", strings.Join(skip, ",")))
			skip = append(skip, name)
		}
		c.answers(t, s.at(80), "/", "200 member1", header("X-Skip", strings.Join(skip, ",")))
		var answer struct {
			L7Policies []struct{ Name string } `json:"l7policies"`
		}
		query := url.Values{"listener_id": {s.id(t, "listener web")}, "sort": {"position"}}
		if err := c.call(t, http.MethodGet, "l7policies?"+query.Encode(), nil, &answer); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, policy := range answer.L7Policies {
			names = append(names, policy.Name)
		}
		if got := strings.Join(names, " "); got != strings.Join(want, " ") {
			t.Errorf("after %s, Octavia has %s", after, got)
		}
	}
	insert("aa", 1)
	insert("bb", 1)
	order("inserting bb before aa", "bb", "aa")
	insert("cc", 2)
	insert("dd", 100)
	order("inserting cc and dd", "bb", "cc", "aa", "dd")
	s.put(t, "l7policy", "l7policies/"+s.id(t, "policy dd"), fields{"position": 1})
	order("moving dd to the front", "dd", "bb", "cc", "aa")
	s.put(t, "l7policy", "l7policies/"+s.id(t, "policy bb"), fields{"position": 100})
	order("moving bb to the end", "dd", "cc", "aa", "bb")
	s.do(t, http.MethodDelete, "l7policies/"+s.id(t, "policy cc"), nil)
	order("deleting cc", "dd", "aa", "bb")
	insert("ee", 2)
	order("inserting ee where cc was", "dd", "ee", "aa", "bb")
	s.allActive(t)
}
