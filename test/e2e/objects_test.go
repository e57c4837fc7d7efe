package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

// settleTime is how long a change may take to end as ACTIVE or DELETED. It is a deadline, not a measurement: it leaves
// room for a controller that was killed and for the resync that picks up what nobody works on.
const settleTime = 3 * time.Minute

// object is what all kinds of Octavia objects answer.
type object struct {
	ID                 string `json:"id"`
	Name               string `json:"name"`
	ProvisioningStatus string `json:"provisioning_status"`
	OperatingStatus    string `json:"operating_status"`
	VIPAddress         string `json:"vip_address"`
	VIPPortID          string `json:"vip_port_id"`
}

// create makes an object of a kind (loadbalancer, listener, pool, member) at a collection's path.
func (c *cloud) create(t *testing.T, kind, path string, attributes map[string]any) (object, error) {
	t.Helper()
	var answer map[string]object
	err := c.call(t, http.MethodPost, path, map[string]any{kind: attributes}, &answer)
	return answer[kind], err
}

// mustCreate creates and waits until the load balancer is ACTIVE again.
func (c *cloud) mustCreate(t *testing.T, lb, kind, path string, attributes map[string]any) object {
	t.Helper()
	made, err := c.create(t, kind, path, attributes)
	if err != nil {
		t.Fatalf("create the %s: %v", kind, err)
	}
	c.settle(t, lb)
	return made
}

// loadBalancer creates one on the instance's subnet; the test's end deletes it with all that it has then.
func (c *cloud) loadBalancer(t *testing.T, name string) object {
	t.Helper()
	lb, err := c.create(t, "loadbalancer", "loadbalancers", map[string]any{"name": name, "vip_subnet_id": c.subnet})
	if err != nil {
		t.Fatalf("create load balancer %s: %v", name, err)
	}
	t.Cleanup(func() { c.cleanUp(t, lb.ID) })
	c.settle(t, lb.ID)
	return lb
}

// cleanUp deletes a load balancer; it may be gone.
func (c *cloud) cleanUp(t *testing.T, id string) {
	ctx := context.WithoutCancel(t.Context()) // a test's context has ended when its clean-ups run
	if err := c.request(ctx, http.MethodDelete, "loadbalancers/"+id+"?cascade=true", nil, nil); err != nil && !gone(err) {
		t.Errorf("delete load balancer %s: %v", id, err)
	}
	eventually(t, settleTime, func() error {
		var answer map[string]object
		err := c.request(ctx, http.MethodGet, "loadbalancers/"+id, nil, &answer)
		if gone(err) {
			return nil
		}
		return fmt.Errorf("load balancer %s is %s, error %w", id, answer["loadbalancer"].ProvisioningStatus, err)
	})
}

// settle waits until the load balancer is no longer PENDING, and fails unless it is ACTIVE.
func (c *cloud) settle(t *testing.T, id string) object {
	t.Helper()
	lb := c.await(t, id)
	if lb.ProvisioningStatus != "ACTIVE" {
		t.Fatalf("load balancer %s is %s\n%s", id, lb.ProvisioningStatus, c.status(t))
	}
	return lb
}

// await waits until the load balancer is no longer PENDING.
func (c *cloud) await(t *testing.T, id string) object {
	t.Helper()
	var lb object
	eventually(t, settleTime, func() error {
		var err error
		if lb, err = c.get(t, "loadbalancer", "loadbalancers/"+id); err != nil {
			return err
		}
		if strings.HasPrefix(lb.ProvisioningStatus, "PENDING") {
			return fmt.Errorf("load balancer %s is %s", id, lb.ProvisioningStatus)
		}
		return nil
	})
	return lb
}

// get reads one object.
func (c *cloud) get(t *testing.T, kind, path string) (object, error) {
	t.Helper()
	var answer map[string]object
	err := c.call(t, http.MethodGet, path, nil, &answer)
	return answer[kind], err
}

// list reads a collection: loadbalancers, listeners, pools, pools/ID/members.
func (c *cloud) list(t *testing.T, path string) []object {
	t.Helper()
	collection := path[strings.LastIndex(path, "/")+1:]
	collection, _, _ = strings.Cut(collection, "?")
	var answer map[string]any
	if err := c.call(t, http.MethodGet, path, nil, &answer); err != nil {
		t.Fatalf("list %s: %v", path, err)
	}
	var objects []object
	for _, item := range answer[collection].([]any) {
		fields := item.(map[string]any)
		objects = append(objects, object{
			ID: fmt.Sprint(fields["id"]), Name: fmt.Sprint(fields["name"]),
			ProvisioningStatus: fmt.Sprint(fields["provisioning_status"]), OperatingStatus: fmt.Sprint(fields["operating_status"]),
		})
	}
	return objects
}

// status is what `octavia-envoy status` prints.
func (c *cloud) status(t *testing.T) string {
	t.Helper()
	stdout, stderr, err := c.try(t, c.env["OE_BINARY"], "status", "--socket", c.env["OE_API_SOCKET"])
	if err != nil {
		return fmt.Sprintf("octavia-envoy status: %v: %s", err, stderr)
	}
	return stdout
}

func gone(err error) bool { return gophercloud.ResponseCodeIs(err, http.StatusNotFound) }
