package metrics

import "github.com/prometheus/client_golang/prometheus"

func memberMetrics() []Metric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	all := []Metric{
		{
			Name: "octavia_member_status", Type: gauge, Label: "state", Series: status(),
			Help: "Current status of the member.",
			Note: "a member without a health monitor is UP, and so is one of weight 0, as with HAProxy",
		},
		{
			Name: "octavia_member_weight", Type: gauge, Series: sum("agent.weight"),
			Help: "Member weight.",
		},
		{
			Name: "octavia_member_current_sessions", Type: gauge, Series: sum("host.rq_active"),
			Help: "Number of current sessions on the frontend, backend or server",
			Note: "requests (HTTP) or connections (TCP)",
		},
		{
			Name: "octavia_member_sessions_total", Type: counter, Series: sum("host.rq_total"),
			Help: "Total number of sessions since process started",
			Note: "likewise",
		},
		{
			Name: "octavia_member_connection_attempts_total", Type: counter, Series: sum("host.cx_total"),
			Help: "Total number of outgoing connection attempts on this backend/server since the worker process started",
		},
		{
			Name: "octavia_member_connection_errors_total", Type: counter, Series: sum("host.cx_connect_fail"),
			Help: "Total number of failed connections to server since the worker process started",
		},
	}
	for i := range all {
		all[i].Of = Member
	}
	return all
}
