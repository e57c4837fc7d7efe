package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// fields are attributes of an object as Octavia's API has them.
type fields = map[string]any

// with returns the fields and more.
func with(base fields, more ...fields) fields {
	all := maps.Clone(base)
	for _, some := range more {
		maps.Copy(all, some)
	}
	return all
}

// member is the first or second member of the lab at one of its ports.
func (c *cloud) member(number, port int, more ...fields) fields {
	return with(fields{
		"name": fmt.Sprintf("member%d", number), "address": c.env[fmt.Sprintf("OE_MEMBER%d_ADDRESS", number)], "protocol_port": port,
	}, more...)
}

// members are both members of the lab at one of their ports.
func (c *cloud) members(port int) []fields {
	return []fields{c.member(1, port), c.member(2, port)}
}

// pool is a ROUND_ROBIN pool for a fully-populated create.
func pool(name, protocol string, members []fields, more ...fields) fields {
	return with(fields{"name": name, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN", "members": members}, more...)
}

// lasting are the timeouts, in ms, of a listener whose connections may be silent for as long as a test takes.
func lasting() fields {
	return fields{"timeout_client_data": 3_600_000, "timeout_member_data": 3_600_000}
}

// listener is a listener for a fully-populated create, with the default pool of a name.
func listener(name, protocol string, port int, defaultPool string, more ...fields) fields {
	all := with(fields{"name": name, "protocol": protocol, "protocol_port": port}, more...)
	if defaultPool != "" {
		all["default_pool"] = fields{"name": defaultPool}
	}
	return all
}

// tree is a load balancer that one call made, and the ids of what is below it.
type tree struct {
	*cloud
	lb object
	// ids of all below the load balancer, by kind and name: "listener web", "pool web", "member web/member1", "policy away".
	ids map[string]string
}

// populate makes a load balancer and all that is below it by one call, which the CLI cannot do. The test's end deletes it.
func (c *cloud) populate(t *testing.T, name string, listeners, pools []fields, more ...fields) *tree {
	t.Helper()
	whole := with(fields{"name": name, "vip_subnet_id": c.subnet, "listeners": listeners, "pools": pools}, more...)
	lb, err := c.create(t, "loadbalancer", "loadbalancers", whole)
	if err != nil {
		t.Fatalf("create load balancer %s: %v", name, err)
	}
	t.Cleanup(func() { c.cleanUp(t, lb.ID) })
	s := &tree{cloud: c, lb: c.settle(t, lb.ID)}
	s.allActive(t)
	return s
}

// at is the address of a port of the VIP.
func (s *tree) at(port int) string { return fmt.Sprintf("%s:%d", s.lb.VIPAddress, port) }

// id is that of an object by kind and name.
func (s *tree) id(t *testing.T, name string) string {
	t.Helper()
	id, ok := s.ids[name]
	if !ok {
		t.Fatalf("there is no %s in %v", name, s.ids)
	}
	return id
}

// memberPath is the path of a member of a pool.
func (s *tree) memberPath(t *testing.T, pool, member string) string {
	t.Helper()
	return "pools/" + s.id(t, "pool "+pool) + "/members/" + s.id(t, "member "+pool+"/"+member)
}

// cli runs an openstack command and waits until the load balancer is ACTIVE again. [pool web] stands for the id of the pool
// of that name, for names are unique in a test only.
func (s *tree) cli(t *testing.T, command string) {
	t.Helper()
	replace := []string{"[lb]", s.lb.ID}
	for name, id := range s.ids {
		replace = append(replace, "["+name+"]", id)
	}
	s.openstack(t, strings.NewReplacer(replace...).Replace(command))
	s.settle(t, s.lb.ID)
}

// put changes an object and waits until the load balancer is ACTIVE again.
func (s *tree) put(t *testing.T, kind, path string, change fields) {
	t.Helper()
	s.do(t, http.MethodPut, path, fields{kind: change})
}

// do sends a change and waits until the load balancer is ACTIVE again.
func (s *tree) do(t *testing.T, method, path string, body any) {
	t.Helper()
	if err := s.call(t, method, path, body, nil); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	s.settle(t, s.lb.ID)
}

// allActive fails unless each object below the load balancer is ACTIVE.
func (s *tree) allActive(t *testing.T) {
	t.Helper()
	for name, o := range s.look(t) {
		if o.ProvisioningStatus != "ACTIVE" {
			t.Errorf("%s is %s", name, o.ProvisioningStatus)
		}
	}
}

// look reads all below the load balancer, by kind and name, and notes the ids.
func (s *tree) look(t *testing.T) map[string]object {
	t.Helper()
	found := map[string]object{}
	s.ids = map[string]string{}
	note := func(kind, name string, o object) {
		found[kind+" "+name], s.ids[kind+" "+name] = o, o.ID
	}
	for _, listener := range s.list(t, "listeners?loadbalancer_id="+s.lb.ID) {
		note("listener", listener.Name, listener)
		for _, policy := range s.list(t, "l7policies?listener_id="+listener.ID) {
			note("policy", policy.Name, policy)
			for i, rule := range s.list(t, "l7policies/"+policy.ID+"/rules") {
				note("rule", fmt.Sprintf("%s/%d", policy.Name, i), rule)
			}
		}
	}
	for _, pool := range s.list(t, "pools?loadbalancer_id="+s.lb.ID) {
		note("pool", pool.Name, pool)
		for _, member := range s.list(t, "pools/"+pool.ID+"/members") {
			note("member", pool.Name+"/"+member.Name, member)
		}
	}
	return found
}
