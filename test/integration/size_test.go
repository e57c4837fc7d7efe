package integration

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// Far more than gRPC takes by default, 4 MiB: a pool of ninety thousand members and five hundred listeners at once. All of it
// arrives, an Envoy that names all of it when it comes back is understood, and what changes afterwards is as small as ever.
func TestLargeUpdates(t *testing.T) {
	c, e, _ := fixture(t)
	here := member(t, "m1")
	var listeners []model.Listener
	for i := range 500 {
		l := listener(t, fmt.Sprintf("listener-%03d", i), "p1")
		l.ProtocolPort = 22000 + i // below the range of which connections get their ports
		listeners = append(listeners, l)
	}
	var many []model.Member
	for i := range 90000 {
		many = append(many, model.Member{
			ID: fmt.Sprintf("member-%05d-of-a-pool-with-long-names", i), AdminStateUp: true, Weight: 1,
			Address: fmt.Sprintf("2001:db8:1234:5678:9abc:def0:%x:%x", i/256+1, i%256+1), ProtocolPort: 65535,
		})
	}
	pools := []model.Pool{pool("p1", here)}
	pools = append(pools, pool("big-0", many...), pool("big-1", many[:10000]...))
	c.accepted("amphora-1", translated(t, listeners, pools...))
	serves(t, listeners[0], "m1")
	serves(t, listeners[499], "m1")
	if n := e.stat("listener_manager.total_listeners_active"); n != 500 {
		t.Errorf("%d listeners", n)
	}
	var endpoints int
	for _, assignment := range translated(t, listeners, pools...).Endpoints {
		endpoints += proto.Size(assignment)
	}
	if endpoints < 4<<20 {
		t.Errorf("the endpoints are %d bytes only", endpoints)
	}
	before := c.sent()
	listeners[250].DefaultPoolID = "big-0"
	c.accepted("amphora-1", translated(t, listeners, pools...))
	if sent := since(before, c.sent()); len(sent) != 1 || sent["route"] != 1 {
		t.Errorf("one route changed and %v was sent", sent)
	}
}
