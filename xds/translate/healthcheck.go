package translate

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/health_check/event_sinks/file/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// bridgeSlack is how much longer Envoy waits for the agent than the agent for a member: so the agent says why.
const bridgeSlack = 500 * time.Millisecond

// checkMembers has the members of a cluster checked; http says that the cluster speaks HTTP to them. Without a monitor it does nothing.
func (t *translation) checkMembers(cluster *clusterv3.Cluster, m *monitor, http bool) error {
	if m == nil {
		return nil
	}
	check := m.schedule()
	if err := t.checkTransport(cluster, check, m); err != nil {
		return err
	}
	switch {
	case m.bridged():
		check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{
			Path: m.question(),
			// A first answer apart, only as many bad ones as the monitor says take a member down: see request.
			RetriableStatuses: anyStatus(),
		}}
	case m.asks():
		request, err := t.request(m, http)
		if err != nil {
			return err
		}
		check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: request}
	default:
		check.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
	}
	log, err := pack(&filev3.HealthCheckEventFileSink{EventLogPath: HealthLog})
	if err != nil {
		return err
	}
	check.EventLogger = []*corev3.TypedExtensionConfig{{Name: "envoy.health_check.event_sinks.file", TypedConfig: log}}
	cluster.HealthChecks = []*corev3.HealthCheck{check}
	// Envoy then knows who has not been checked yet from who has failed (pending_active_hc, membership_excluded).
	cluster.CommonLbConfig.IgnoreNewHostsUntilFirstHc = true
	if cluster.GetOutlierDetection() != nil {
		// Who fails what it is sent stays out as long as the flavor says, however well it answers checks.
		cluster.OutlierDetection.SuccessfulActiveHealthCheckUnejectHost = wrapperspb.Bool(false)
	}
	return nil
}

// schedule is when a member is checked, and how many results take it up or down. All of Envoy's intervals are the delay: some
// have other defaults, 60 s where there is no traffic. There is no jitter.
//
// The first result of a member counts at once. So does HAProxy's if it is bad, and before it the member is up. The delay is from the
// end of a check to the begin of the next one, as seen of HAProxy, too.
func (m *monitor) schedule() *corev3.HealthCheck {
	delay, timeout := seconds(m.Delay), seconds(m.Timeout)
	if m.bridged() {
		timeout = durationpb.New(timeout.AsDuration() + bridgeSlack)
	}
	return &corev3.HealthCheck{
		Timeout: timeout, Interval: delay, NoTrafficInterval: delay,
		HealthyThreshold:   unlessZero(m.MaxRetries),
		UnhealthyThreshold: unlessZero(m.MaxRetriesDown),
		// Each check has a connection of its own, as HAProxy's.
		ReuseConnection: wrapperspb.Bool(false),
	}
}

// request is a check by HTTP, Envoy's own.
func (t *translation) request(m *monitor, http bool) (*corev3.HealthCheck_HttpHealthCheck, error) {
	codes, err := statusCodes(m.ExpectedCodes)
	if err != nil {
		return nil, err
	}
	request := &corev3.HealthCheck_HttpHealthCheck{
		Path: m.URLPath, Host: m.DomainName, ExpectedStatuses: codes, RetriableStatuses: anyStatus(),
	}
	if m.HTTPMethod != "GET" {
		request.Method = requestMethod(m.HTTPMethod)
	}
	switch {
	case m.pool.TLSEnabled && slices.Contains(t.memberALPN(m.pool), alpnHTTP2):
		request.UseAlpnProtocol = true
	case http && m.Type == model.HealthMonitorHTTP && t.memberVersion(m.pool) == flavor.HTTP2:
		request.CodecClientType = typev3.CodecClientType_HTTP2 // The flavor says that they know nothing else.
	}
	return request, nil
}

// anyStatus are the codes after which a check is repeated before the member is down: all that are not expected. Without, Envoy
// takes it down at the first wrong code.
func anyStatus() []*typev3.Int64Range {
	return []*typev3.Int64Range{{Start: firstStatus, End: endOfStatuses}}
}

// question is what the agent is asked for a check, see amphora-image/agent/probe. Which member, says the Host header.
func (m *monitor) question() string {
	query := url.Values{"timeout_ms": {strconv.Itoa(m.Timeout * int(time.Second/time.Millisecond))}}
	if !m.asks() {
		return "/" + m.Type + "?" + query.Encode()
	}
	query.Set("method", m.HTTPMethod)
	query.Set("path", m.URLPath)
	query.Set("codes", m.ExpectedCodes)
	query.Set("version", "1.1")
	if m.HTTPVersion == 1.0 {
		query.Set("version", "1.0")
	}
	if m.DomainName != "" {
		query.Set("host", m.DomainName)
	}
	if m.encrypts() {
		query.Set("tls", "1")
	}
	return "/HTTP?" + query.Encode()
}

func seconds(count int) *durationpb.Duration {
	return durationpb.New(time.Duration(count) * time.Second)
}
