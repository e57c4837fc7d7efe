package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestL7Policies makes policies and rules by the CLI and asks for what they match and what they do not.
func TestL7Policies(t *testing.T) {
	c := shared
	s := c.webService(t, "e2e-l7")
	other := c.mustCreate(t, s.lb.ID, "pool", "pools", map[string]any{
		"loadbalancer_id": s.lb.ID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "name": "e2e-l7-other",
	})
	c.mustCreate(t, s.lb.ID, "member", "pools/"+other.ID+"/members", map[string]any{
		"address": c.env["OE_MEMBER2_ADDRESS"], "protocol_port": 80,
	})
	policy := func(words string) {
		c.openstack(t, "loadbalancer l7policy create "+words+" "+s.listener.ID)
		c.settle(t, s.lb.ID)
	}
	rule := func(policy, words string) {
		c.openstack(t, "loadbalancer l7rule create "+words+" "+policy)
		c.settle(t, s.lb.ID)
	}
	policy("--name to-other --action REDIRECT_TO_POOL --redirect-pool " + other.ID)
	rule("to-other", "--type PATH --compare-type STARTS_WITH --value /other")
	policy("--name away --action REDIRECT_PREFIX --redirect-prefix https://www.example.com --redirect-http-code 301")
	rule("away", "--type HOST_NAME --compare-type EQUAL_TO --value old.example.com")
	policy("--name no --action REJECT")
	rule("no", "--type HEADER --compare-type CONTAINS --key X-Bad --value evil")

	for _, test := range []struct {
		path, host, header string
		status             int
		member, location   string
	}{
		{"/", "", "", http.StatusOK, "member1", ""},
		{"/other/x?y", "", "", http.StatusOK, "member2", ""},
		{"/x/other", "", "", http.StatusOK, "member1", ""},
		{"/a?b=c", "OLD.example.com", "", http.StatusMovedPermanently, "", "https://www.example.com/a?b=c"},
		{"/other", "", "an evil one", http.StatusForbidden, "", ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = test.host
		if test.header != "" {
			request.Header.Set("X-Bad", test.header)
		}
		response, err := c.client(t).Do(request)
		if err != nil {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		got := fmt.Sprint(response.StatusCode, response.Header.Get("Server-Name"), response.Header.Get("Location"))
		if want := fmt.Sprint(test.status, test.member, test.location); got != want {
			t.Errorf("%s of %q: %s, want %s", test.path, test.host, got, want)
		}
	}
	_, stderr, err := c.try(t, c.env["OPENSTACK"], "loadbalancer", "l7rule", "create", "--type", "PATH",
		"--compare-type", "REGEX", "--value", "(?!x)", "no")
	if err == nil || !strings.Contains(stderr, "HTTP 501") {
		t.Errorf("a regular expression that RE2 cannot do: error %v: %s", err, stderr)
	}
	c.settle(t, s.lb.ID)
	for _, name := range []string{"to-other", "away", "no"} {
		c.openstack(t, "loadbalancer l7policy delete "+name)
		c.settle(t, s.lb.ID)
	}
	if got := c.spread(t, s.address, 10); got["member1"] != 10 {
		t.Errorf("after the deletion of the policies: %v", got)
	}
	c.noneStuck(t)
}
