package capabilities_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// goodMonitor is one of Octavia's defaults.
func goodMonitor() *model.HealthMonitor {
	return &model.HealthMonitor{
		ID: otherID, PoolID: poolID, AdminStateUp: true, Type: "HTTP", Delay: 5, Timeout: 3, MaxRetries: 3, MaxRetriesDown: 3,
		HTTPMethod: "GET", URLPath: "/", ExpectedCodes: "200",
	}
}

func onMonitor(f func(*model.HealthMonitor)) change {
	return onPool(func(p *model.Pool) {
		p.HealthMonitor = goodMonitor()
		f(p.HealthMonitor)
	})
}

func monitorUnsupported() map[string]refusal {
	at := "pools[0].healthmonitor."
	return map[string]refusal{
		"no delay": {
			onMonitor(func(h *model.HealthMonitor) { h.Delay = 0 }),
			at + "delay: A delay of 0 seconds or of more than 2147483 is not supported; use one between.",
		},
		"a delay for ever": {
			onMonitor(func(h *model.HealthMonitor) { h.Delay = 2147484 }),
			at + "delay: A delay of 0 seconds or of more than 2147483 is not supported; use one between.",
		},
		"no timeout": {
			onMonitor(func(h *model.HealthMonitor) { h.Timeout = 0 }),
			at + "timeout: A timeout of 0 seconds is not supported, no member could answer in time; use at least 1.",
		},
		"a long timeout": {
			onMonitor(func(h *model.HealthMonitor) { h.Timeout = 51 }),
			at + "timeout: A timeout of more than 50 seconds is not supported: a member that never answers would hold up each change of its " +
				"pool for so long; use a shorter one.",
		},
		"codes that no answer has": {
			onMonitor(func(h *model.HealthMonitor) { h.ExpectedCodes = "600-999" }),
			at + `expected_codes: The expected_codes "600-999" are not supported: status codes are 100 to 599.`,
		},
		"codes backwards": {
			onMonitor(func(h *model.HealthMonitor) { h.ExpectedCodes = "204-200" }),
			at + `expected_codes: The expected_codes "204-200" are not supported: use codes as 200, lists as 200,202 and ranges as 200-204.`,
		},
	}
}

func monitorInvalid() map[string]refusal {
	at := "pools[0].healthmonitor."
	return map[string]refusal{
		"type": {
			onMonitor(func(h *model.HealthMonitor) { h.Type = "GRPC" }),
			at + `type: "GRPC" is not a value of type in Octavia; supported are HTTP, HTTPS, PING, TCP, TLS-HELLO and UDP-CONNECT.`,
		},
		"UDP-CONNECT of TCP": {
			onMonitor(func(h *model.HealthMonitor) { h.Type = "UDP-CONNECT" }),
			at + "type: UDP-CONNECT is for pools of the protocol UDP; use TCP.",
		},
		"id": {
			onMonitor(func(h *model.HealthMonitor) { h.ID = "x" }),
			at + `healthmonitor_id: healthmonitor_id must be a UUID, not "x".`,
		},
		"another's": {
			onMonitor(func(h *model.HealthMonitor) { h.PoolID = otherID }),
			at + `pool_id: pool_id must be "` + poolID + `", the object that it is in, not "` + otherID + `".`,
		},
		"negative delay": {
			onMonitor(func(h *model.HealthMonitor) { h.Delay = -1 }),
			at + "delay: delay is a number of seconds, not -1.",
		},
		"negative timeout": {
			onMonitor(func(h *model.HealthMonitor) { h.Timeout = -1 }),
			at + "timeout: timeout is a number of seconds, not -1.",
		},
		"rise": {
			onMonitor(func(h *model.HealthMonitor) { h.MaxRetries = 0 }),
			at + "max_retries: max_retries must be between 1 and 10, not 0.",
		},
		"fall": {
			onMonitor(func(h *model.HealthMonitor) { h.MaxRetriesDown = 11 }),
			at + "max_retries_down: max_retries_down must be between 1 and 10, not 11.",
		},
		"method": {
			onMonitor(func(h *model.HealthMonitor) { h.HTTPMethod = "BREW" }),
			at + `http_method: "BREW" is not a value of http_method in Octavia; supported are GET, HEAD, POST, PUT, DELETE, TRACE, OPTIONS, CONNECT and PATCH.`,
		},
		"path": {
			onMonitor(func(h *model.HealthMonitor) { h.URLPath = "health" }),
			at + `url_path: url_path must begin with / and be of visible ASCII characters, not "health".`,
		},
		"two requests": {
			onMonitor(func(h *model.HealthMonitor) { h.URLPath = "/ HTTP/1.1\r\nHost: x" }),
			at + `url_path: url_path must begin with / and be of visible ASCII characters, not "/ HTTP/1.1\r\nHost: x".`,
		},
		"version": {
			onMonitor(func(h *model.HealthMonitor) { h.HTTPVersion = 2 }),
			at + "http_version: http_version must be 1.0 or 1.1, not 2.",
		},
		"name": {
			onMonitor(func(h *model.HealthMonitor) { h.HTTPVersion, h.DomainName = 1.1, "a b" }),
			at + `domain_name: domain_name must be a name, not "a b".`,
		},
		"name and version": {
			onMonitor(func(h *model.HealthMonitor) { h.HTTPVersion, h.DomainName = 1.0, "www.example.org" }),
			at + "domain_name: A domain_name needs the http_version 1.1.",
		},
	}
}

func TestMonitorRefused(t *testing.T) {
	for kind, table := range map[capabilities.Kind]map[string]refusal{
		capabilities.Unsupported: monitorUnsupported(), capabilities.Invalid: monitorInvalid(),
	} {
		for name, test := range table {
			t.Run(name, func(t *testing.T) {
				lb := tree(t)
				test.change(lb)
				problems := capabilities.Check(lb)
				assert.Equal(t, []string{test.want}, lines(problems))
				assert.Equal(t, kind, problems[0].Kind)
				assert.Less(t, len(problems[0].Message), 250, "too long for a fault string")
			})
		}
	}
}

func TestMonitorsOfEveryKind(t *testing.T) {
	for name, change := range map[string]func(*model.Pool, *model.HealthMonitor){
		"defaults":             func(*model.Pool, *model.HealthMonitor) {},
		"timeout above delay":  func(_ *model.Pool, h *model.HealthMonitor) { h.Delay, h.Timeout = 2, 50 },
		"down":                 func(_ *model.Pool, h *model.HealthMonitor) { h.AdminStateUp = false },
		"HTTPS of HTTP":        func(_ *model.Pool, h *model.HealthMonitor) { h.Type = "HTTPS" },
		"PING":                 func(_ *model.Pool, h *model.HealthMonitor) { h.Type = "PING" },
		"TLS-HELLO":            func(_ *model.Pool, h *model.HealthMonitor) { h.Type = "TLS-HELLO" },
		"TCP of PROXY":         func(p *model.Pool, h *model.HealthMonitor) { p.Protocol, h.Type = "PROXY", "TCP" },
		"codes":                func(_ *model.Pool, h *model.HealthMonitor) { h.ExpectedCodes = "200, 202,301" },
		"a range of all codes": func(_ *model.Pool, h *model.HealthMonitor) { h.ExpectedCodes = "000-999" },
		"CONNECT":              func(_ *model.Pool, h *model.HealthMonitor) { h.HTTPMethod = "CONNECT" },
		"HTTP/1.0":             func(_ *model.Pool, h *model.HealthMonitor) { h.HTTPVersion = 1.0 },
		"a name":               func(_ *model.Pool, h *model.HealthMonitor) { h.HTTPVersion, h.DomainName = 1.1, "www.example.org" },
		"no request": func(_ *model.Pool, h *model.HealthMonitor) {
			h.Type, h.HTTPMethod, h.URLPath, h.ExpectedCodes = "TCP", "", "", ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			lb := tree(t)
			pool := &lb.Pools[0]
			pool.HealthMonitor = goodMonitor()
			change(pool, pool.HealthMonitor)
			assert.Empty(t, capabilities.Check(lb))
		})
	}
	for _, kind := range []string{"UDP-CONNECT", "TCP", "HTTP", "HTTPS", "TLS-HELLO", "PING"} {
		t.Run(kind+" of UDP", func(t *testing.T) {
			lb := tree(t)
			lb.Listeners[0].Protocol, lb.Pools[0].Protocol = "UDP", "UDP"
			lb.Pools[0].HealthMonitor = goodMonitor()
			lb.Pools[0].HealthMonitor.Type = kind
			assert.Empty(t, capabilities.Check(lb))
		})
	}
}
