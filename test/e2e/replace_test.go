package e2e

import (
	"net/http"
	"testing"
)

// TestBatchReplacesCheckedMembers replaces all members of a monitored pool in one call, and again as soon as Octavia takes the
// next, under load: the new ones are checked before the former go.
func TestBatchReplacesCheckedMembers(t *testing.T) {
	t.Parallel()
	c := shared
	for _, kind := range []string{"HTTP", "TCP", "PING"} {
		t.Run(kind, func(t *testing.T) {
			monitor := fields{"type": kind, "delay": 1, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
			if kind == "HTTP" {
				monitor["url_path"] = "/"
			}
			s := c.populate(t, "e2e-replace-"+kind, []fields{listener("web", "HTTP", 80, "web")},
				[]fields{pool("web", "HTTP", []fields{c.member(1, 80)}, fields{"healthmonitor": monitor})})
			s.become(t, "created", map[string]string{"member web/member1": "ONLINE"})
			path := "pools/" + s.id(t, "pool web") + "/members"
			stop := s.traffic(t)
			for _, number := range []int{2, 1, 2, 1, 2} {
				s.do(t, http.MethodPut, path, fields{"members": []fields{c.member(number, 80)}})
			}
			t.Logf("%d requests", stop())
			s.become(t, "replaced", map[string]string{"lb": "ONLINE", "pool web": "ONLINE", "member web/member2": "ONLINE"})
			s.allActive(t)
		})
	}
}
