package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// TestAppCookie keeps clients on their members by a cookie of the members' own, also on one that drains.
func TestAppCookie(t *testing.T) {
	t.Parallel()
	c := shared
	s := c.populate(t, "e2e-app-cookie", []fields{listener("web", "HTTP", 80, "web")}, []fields{pool("web", "HTTP", c.members(80))})
	s.cli(t, "loadbalancer pool set --session-persistence type=APP_COOKIE,cookie_name=SESSION [pool web]")
	client, base := c.client(t), "http://"+s.at(80)
	sessions := map[string]*http.Cookie{}
	for range 20 {
		response, _ := c.ask(t, client, base+"/login?cookie=SESSION")
		member, cookies := response.Header.Get("Server-Name"), response.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "SESSION" || !strings.HasPrefix(cookies[0].Value, member+"-session") || !cookies[0].HttpOnly {
			t.Fatalf("the cookie of %s is %v", member, cookies)
		}
		if strings.Contains(cookies[0].Value, "203.0.113") {
			t.Errorf("the cookie tells the member's address: %s", cookies[0].Value)
		}
		sessions[member] = cookies[0]
	}
	if len(sessions) != 2 {
		t.Fatalf("20 logins came to %d members", len(sessions))
	}
	stay := func(after string) {
		t.Helper()
		for member, cookie := range sessions {
			for range 5 {
				saw := c.asSeen(t, client, base, func(r *http.Request) { r.AddCookie(cookie) })
				if saw.Name != member {
					t.Errorf("after %s, a client of %s came to %s", after, member, saw.Name)
				}
				if got, want := saw.Headers.Get("Cookie"), "SESSION="+member+"-session"; got != want {
					t.Errorf("after %s, the member sees %q, not its own %q", after, got, want)
				}
			}
		}
	}
	stay("logging in")
	if response, _ := c.ask(t, client, base+"/"); len(response.Cookies()) != 0 {
		t.Errorf("an answer of a member that sets no cookie sets %v", response.Cookies())
	}

	// Weight 0 drains: who has a session there stays, who has none goes elsewhere.
	s.cli(t, "loadbalancer member set --weight 0 [pool web] [member web/member1]")
	c.answers(t, s.at(80), "/", "200 member2")
	stay("weight 0")
	// Down, it is asked by nobody.
	s.put(t, "member", s.memberPath(t, "web", "member1"), fields{"admin_state_up": false})
	c.answers(t, s.at(80), "/", "200 member2", func(r *http.Request) { r.AddCookie(sessions["member1"]) })
	s.allActive(t)
}
