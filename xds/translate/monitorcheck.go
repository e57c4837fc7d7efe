package translate

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// longestDelay is HAProxy's longest timer, 2³¹-1 ms, in seconds.
	longestDelay = (1<<31 - 1) / 1000
	// LongestCheck is the longest timeout of a check, in seconds. A new or changed cluster serves when it has had as many results of
	// checks as it has members, and an Envoy that starts listens when all its clusters do: that is as long as the timeout when no
	// member answers, about one delay when half of them do. It is below what the controller gives an attempt to publish.
	LongestCheck = 50
	// mostTries is Octavia's (octavia.common.constants.MAX_HM_RETRIES).
	mostTries = 10

	methodConnect = http.MethodConnect
)

// The status codes that a member can answer with and Envoy can expect; the end is not one of them.
const firstStatus, endOfStatuses = 100, 600

// check reports what is wrong with a monitor.
func (m *monitor) check(refuse func(field, reason string)) {
	if field, reason := m.checkKind(); reason != "" {
		refuse(field, reason)
		return
	}
	for _, number := range []struct {
		field             string
		value, most       int
		unit, consequence string
	}{
		{"delay", m.Delay, longestDelay, " s", ""},
		{"timeout", m.Timeout, LongestCheck, " s", ": a member that never answers would hold up changes of its pool for so long"},
		{"max_retries", m.MaxRetries, mostTries, "", ""},
		{"max_retries_down", m.MaxRetriesDown, mostTries, "", ""},
	} {
		if number.value < 1 || number.value > number.most {
			refuse(number.field, fmt.Sprintf("%d is not supported: 1 to %d%s%s", number.value, number.most, number.unit, number.consequence))
		}
	}
	if m.asks() {
		m.checkRequest(refuse)
	}
}

func (m *monitor) checkKind() (field, reason string) {
	switch m.Type {
	case model.HealthMonitorHTTP, model.HealthMonitorHTTPS, model.HealthMonitorTCP, model.HealthMonitorTLSHello, model.HealthMonitorPing:
		return "", ""
	case model.HealthMonitorUDPConnect:
		if m.pool.Protocol == model.ProtocolUDP {
			return "", ""
		}
		return "type", "UDP-CONNECT is for pools of the protocol UDP: use TCP"
	}
	return "type", unsupported("a health monitor of type", m.Type) + ": use HTTP, HTTPS, PING, TCP, TLS-HELLO or UDP-CONNECT"
}

func (m *monitor) checkRequest(refuse func(field, reason string)) {
	if !m.bridged() && requestMethod(m.HTTPMethod) == corev3.RequestMethod_METHOD_UNSPECIFIED {
		refuse("http_method", unsupported("the method", m.HTTPMethod))
	}
	if !strings.HasPrefix(m.URLPath, "/") || !InRequestLine(m.URLPath) {
		refuse("url_path", fmt.Sprintf("%.64q is not a path: it begins with / and is of visible ASCII characters", m.URLPath))
	}
	if err := CheckExpectedCodes(m.ExpectedCodes); err != nil {
		refuse("expected_codes", err.Error())
	}
	switch m.HTTPVersion {
	case 0, 1.0, 1.1:
	default:
		refuse("http_version", fmt.Sprintf("%v is not supported: use 1.0 or 1.1", m.HTTPVersion))
	}
	if m.DomainName != "" && (!InRequestLine(m.DomainName) || m.HTTPVersion == 1.0) {
		refuse("domain_name", fmt.Sprintf("%.64q is not supported: use a name, and the http_version 1.1", m.DomainName))
	}
}

// InRequestLine reports whether a text can stand in the first line of a request.
func InRequestLine(text string) bool {
	return !strings.ContainsFunc(text, func(char rune) bool { return char <= ' ' || char > '~' })
}

// requestMethod is Envoy's word for a method; there is none for those that it cannot check with.
func requestMethod(name string) corev3.RequestMethod {
	if name == methodConnect || name == "METHOD_UNSPECIFIED" {
		return corev3.RequestMethod_METHOD_UNSPECIFIED
	}
	return corev3.RequestMethod(corev3.RequestMethod_value[name])
}

// CheckExpectedCodes says why Octavia's expected_codes cannot be served.
func CheckExpectedCodes(text string) error {
	_, err := statusCodes(text)
	return err
}

// statusCodes reads Octavia's expected_codes: codes and ranges of codes with commas between, in Envoy's half-open ranges. Codes that no
// answer has say nothing.
func statusCodes(text string) ([]*typev3.Int64Range, error) {
	var ranges []*typev3.Int64Range
	for part := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		low, err := statusCode(first)
		high := low
		if ranged && err == nil {
			high, err = statusCode(last)
		}
		if err != nil || high < low {
			return nil, fmt.Errorf("%.64q are not supported: use codes as 200, lists as 200,202 and ranges as 200-204", text)
		}
		if low, high = max(low, firstStatus), min(high, endOfStatuses-1); low <= high {
			ranges = append(ranges, &typev3.Int64Range{Start: low, End: high + 1})
		}
	}
	if len(ranges) == 0 {
		return nil, fmt.Errorf("%.64q are not supported: status codes are 100 to 599", text)
	}
	slices.SortStableFunc(ranges, func(a, b *typev3.Int64Range) int { return int(a.GetStart() - b.GetStart()) })
	return ranges, nil
}

func statusCode(text string) (int64, error) {
	code, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(text) != len("200") {
		return 0, fmt.Errorf("%.64q is not a status code", text)
	}
	return int64(code), nil
}
