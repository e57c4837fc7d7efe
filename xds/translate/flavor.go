package translate

import (
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// maxReason bounds a sentence that quotes a key or value of a flavor.
const maxReason = 400

// takeFlavor reads the flavor of the load balancer. One that cannot be read is an error of the load balancer, and what it
// asks for is not there: its listeners serve as without a flavor.
//
// What a flavor asks for goes where it means something:
//
//	key                listeners and pools of HTTP              of TCP and HTTPS           of UDP
//	member_http        pools of HTTP listeners                  –                          –
//	client_http        listeners                                –                          –
//	compression        listeners                                –                          –
//	http3              TERMINATED_HTTPS listeners               –                          –
//	retries            routes of listeners, limits of pools     –                          –
//	outlier_detection  pools: answers, connects, resets         pools: connects            –
//	circuit_breaking   pools                                    pools: max_connections     pools: sessions, by max_connections
//	slow_start         pools with ROUND_ROBIN, LEAST_CONNECTIONS, whatever the protocol
//	buffer_bytes       listeners and pools                      listeners and pools        –
//	tcp_keepalive      listeners and pools                      listeners and pools        –
//	request_id         listeners                                –                          –
func (t *translation) takeFlavor() {
	read, problems := flavor.Parse(t.lb.Flavor)
	for _, problem := range problems {
		field := "flavor"
		if problem.Path != "" {
			field += "." + problem.Path
		}
		// The sentence is for API users, who see no field beside it.
		reason := strings.TrimPrefix(problem.Message, field+" ")
		if len(reason) > maxReason {
			reason = strings.ToValidUTF8(reason[:maxReason], "")
		}
		t.problem(&ValidationError{
			Owner: model.Ref{Kind: model.KindLoadBalancer, ID: t.lb.ID}, Field: field, Reason: strings.TrimSuffix(reason, "."),
		})
	}
	if read == nil {
		read = new(flavor.Flavor)
	}
	t.flavor = read
}
