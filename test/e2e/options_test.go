package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestCookieKeepsTheMember checks that a client that sends its cookie back stays, and that the cookie hides the member.
func TestCookieKeepsTheMember(t *testing.T) {
	c := shared
	s := c.webService(t, "e2e-cookie")
	c.mustCreate(t, s.lb.ID, "member", "pools/"+s.pool.ID+"/members", map[string]any{
		"address": c.env["OE_MEMBER2_ADDRESS"], "protocol_port": 80,
	})
	c.openstack(t, "loadbalancer pool set --session-persistence type=HTTP_COOKIE "+s.pool.ID)
	c.settle(t, s.lb.ID)
	client := c.client(t)
	for range 4 { // clients, so that both members have one
		member, cookies := c.visit(t, client, s.address, nil)
		if len(cookies) != 1 {
			t.Fatalf("the first answer sets %v", cookies)
		}
		if strings.Contains(cookies[0].Value, "203.0.113") || strings.Contains(cookies[0].Value, "MjAzLjAuMTEz") {
			t.Errorf("the cookie tells the member's address: %s", cookies[0].Value)
		}
		for range 10 {
			if again, _ := c.visit(t, client, s.address, cookies[0]); again != member {
				t.Fatalf("a client of %s came to %s", member, again)
			}
		}
	}
	if got := c.spread(t, s.address, 20); got["member1"] == 0 || got["member2"] == 0 {
		t.Errorf("clients without the cookie: %v", got)
	}
}

func (c *cloud) visit(t *testing.T, client *http.Client, address string, cookie *http.Cookie) (string, []*http.Cookie) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != nil {
		request.AddCookie(cookie)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("answered %s", response.Status)
	}
	return response.Header.Get("Server-Name"), response.Cookies()
}

// TestSourceIPKeepsTheMember has one client, which therefore meets one member.
func TestSourceIPKeepsTheMember(t *testing.T) {
	c := shared
	s := c.webService(t, "e2e-source-ip")
	c.mustCreate(t, s.lb.ID, "member", "pools/"+s.pool.ID+"/members", map[string]any{
		"address": c.env["OE_MEMBER2_ADDRESS"], "protocol_port": 80,
	})
	c.openstack(t, "loadbalancer pool set --lb-algorithm SOURCE_IP "+s.pool.ID)
	c.settle(t, s.lb.ID)
	if got := c.spread(t, s.address, 20); len(got) != 1 {
		t.Errorf("one client met %v", got)
	}
}

// TestAllowedCIDRs shuts the client out and lets it in again.
func TestAllowedCIDRs(t *testing.T) {
	c := shared
	s := c.webService(t, "e2e-cidrs")
	c.openstack(t, "loadbalancer listener set --allowed-cidr 192.0.2.0/24 "+s.listener.ID)
	c.settle(t, s.lb.ID)
	eventually(t, settleTime, func() error { // the listener's workers close the door one by one
		code, member, err := c.fetch(t, c.client(t), s.address)
		if err == nil {
			return fmt.Errorf("a client outside of the CIDR is answered %d by %q", code, member)
		}
		return nil
	})
	c.openstack(t, "loadbalancer listener set --allowed-cidr 203.0.113.0/24 "+s.listener.ID)
	c.settle(t, s.lb.ID)
	c.serves(t, s.address)
	c.noneStuck(t)
}
