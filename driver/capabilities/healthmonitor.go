package capabilities

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// Octavia takes 0 and any larger number of seconds; its own HAProxy does not start with a delay of 0, nor with one above 24 days.
const (
	maxDelay        = (1<<31 - 1) / 1000
	maxCheckTimeout = translate.LongestCheck
	// maxRetries is Octavia's (octavia.common.constants.MAX_HM_RETRIES).
	maxRetries = 10
)

func monitorTypes() (supported []string, refused map[string]string) {
	supported = []string{
		model.HealthMonitorHTTP, model.HealthMonitorHTTPS, model.HealthMonitorPing, model.HealthMonitorTCP, model.HealthMonitorTLSHello,
		model.HealthMonitorUDPConnect,
	}
	refused = map[string]string{
		model.HealthMonitorSCTP: "Health monitors of the type SCTP are not supported, Envoy has no SCTP; use UDP-CONNECT, or TCP with the " +
			"monitor_port of something that answers beside it.",
	}
	return supported, refused
}

func monitorRefusals() []refusal[model.HealthMonitor] {
	return []refusal[model.HealthMonitor]{
		{
			"delay", func(h *model.HealthMonitor) bool { return h.Delay == 0 || h.Delay > maxDelay },
			fmt.Sprintf("A delay of 0 seconds or of more than %d is not supported; use one between.", maxDelay),
		},
		{
			"timeout", func(h *model.HealthMonitor) bool { return h.Timeout == 0 },
			"A timeout of 0 seconds is not supported, no member could answer in time; use at least 1.",
		},
		{
			"timeout", func(h *model.HealthMonitor) bool { return h.Timeout > maxCheckTimeout },
			fmt.Sprintf("A timeout of more than %d seconds is not supported: a member that never answers would hold up each change of its "+
				"pool for so long; use a shorter one.", maxCheckTimeout),
		},
	}
}

func (c *checker) healthMonitor(pool object, p *model.Pool) {
	h := p.HealthMonitor
	o := pool.child(model.KindHealthMonitor, h.ID, "healthmonitor")
	c.identity(o, "healthmonitor_id", "pool_id", h.PoolID, p.ID)
	supported, refused := monitorTypes()
	c.choice(o, "type", h.Type, supported, refused)
	if h.Type == model.HealthMonitorUDPConnect && p.Protocol != "" && p.Protocol != model.ProtocolUDP {
		c.invalid(o, "type", "UDP-CONNECT is for pools of the protocol UDP; use TCP.")
	}
	for _, number := range []struct {
		field string
		value int
	}{{"delay", h.Delay}, {"timeout", h.Timeout}} {
		if number.value < 0 {
			c.invalid(o, number.field, "%s is a number of seconds, not %d.", number.field, number.value)
		}
	}
	c.between(o, "max_retries", h.MaxRetries, 1, maxRetries, "")
	c.between(o, "max_retries_down", h.MaxRetriesDown, 1, maxRetries, "")
	refuse(c, o, h, monitorRefusals())
	if h.Type == model.HealthMonitorHTTP || h.Type == model.HealthMonitorHTTPS {
		c.monitorRequest(o, h)
	}
}

// monitorRequest checks what a monitor asks members by HTTP.
func (c *checker) monitorRequest(o object, h *model.HealthMonitor) {
	methods := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodTrace, http.MethodOptions,
		http.MethodConnect, http.MethodPatch,
	}
	c.choice(o, "http_method", h.HTTPMethod, methods, nil)
	if !strings.HasPrefix(h.URLPath, "/") || !translate.InRequestLine(h.URLPath) {
		c.invalid(o, "url_path", "url_path must begin with / and be of visible ASCII characters, not %q.", clip(h.URLPath))
	}
	if err := translate.CheckExpectedCodes(h.ExpectedCodes); err != nil {
		c.unsupported(o, "expected_codes", fmt.Sprintf("The expected_codes %s.", err))
	}
	if h.HTTPVersion != 0 && h.HTTPVersion != 1.0 && h.HTTPVersion != 1.1 {
		c.invalid(o, "http_version", "http_version must be 1.0 or 1.1, not %v.", h.HTTPVersion)
	}
	switch {
	case h.DomainName == "":
	case !translate.InRequestLine(h.DomainName):
		c.invalid(o, "domain_name", "domain_name must be a name, not %q.", clip(h.DomainName))
	case h.HTTPVersion == 1.0:
		c.invalid(o, "domain_name", "A domain_name needs the http_version 1.1.")
	}
}
