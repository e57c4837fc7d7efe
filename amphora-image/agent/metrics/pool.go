package metrics

import "github.com/prometheus/client_golang/prometheus"

func poolMetrics() []Metric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	all := []Metric{
		{
			Name: "octavia_pool_status", Type: gauge, Label: "state", Series: status(),
			Help: "Current status of the pool.",
			Note: "DOWN when none of its members can take traffic; a pool without members is UP, as with HAProxy",
		},
		{
			Name: "octavia_pool_active_members", Type: gauge, Series: sum("agent.active_members"),
			Help: "Current number of active members.",
			Note: "those that take traffic: neither down nor of weight 0",
		},
		{
			Name: "octavia_pool_backup_members", Type: gauge, Series: sum("agent.backup_members"),
			Help: "Current number of backup members.",
			Note: "likewise; where all members are backups, they count as active",
		},
		{
			Name: "octavia_pool_current_sessions", Type: gauge, Series: sum("cluster.upstream_rq_active"),
			Help: "Number of current sessions on the frontend, backend or server",
			Note: "requests (HTTP) or connections (TCP)",
		},
		{
			Name: "octavia_pool_sessions_total", Type: counter, Series: sum("cluster.upstream_rq_total"),
			Help: "Total number of sessions since process started",
			Note: "likewise, with those that were tried again",
		},
		{
			Name: "octavia_pool_current_queue", Type: gauge, Series: sum("cluster.upstream_rq_pending_active"),
			Help: "Number of current queued connections",
			Note: "sessions that wait for their connection to a member",
		},
		{
			Name: "octavia_pool_bytes_in_total", Type: counter, Series: sum("cluster.upstream_cx_tx_bytes_total"),
			Help: "Total number of request bytes since process started",
			Note: "sent to members",
		},
		{
			Name: "octavia_pool_bytes_out_total", Type: counter, Series: sum("cluster.upstream_cx_rx_bytes_total"),
			Help: "Total number of response bytes since process started",
			Note: "received from members",
		},
		{
			Name: "octavia_pool_connection_attempts_total", Type: counter, Series: sum("cluster.upstream_cx_total"),
			Help: "Total number of outgoing connection attempts on this backend/server since the worker process started",
		},
		{
			Name: "octavia_pool_connection_errors_total", Type: counter, Series: sum("cluster.upstream_cx_connect_fail"),
			Help: "Total number of failed connections to server since the worker process started",
		},
		{
			Name: "octavia_pool_response_errors_total", Type: counter,
			Series: sum("cluster.upstream_cx_protocol_error", "cluster.upstream_rq_per_try_idle_timeout"),
			Help:   "Total number of invalid responses since the worker process started",
			Note:   "answers that Envoy cannot read, and none within `timeout_member_data`",
		},
		{
			Name: "octavia_pool_retry_warnings_total", Type: counter, Series: sum("cluster.upstream_rq_retry"),
			Help: "Total number of server connection retries since the worker process started",
			Note: "HTTP",
		},
		{
			Name: "octavia_pool_http_requests_total", Type: counter, Series: sum("cluster.upstream_rq_completed"),
			Help: "Total number of HTTP requests processed by this object since the worker process started",
			Note: "those that were answered, by a member or for it; from the first on",
		},
		{
			Name: "octavia_pool_http_responses_total", Type: counter, Label: "code", Series: byClass("cluster.upstream_rq_"),
			Help: "Total number of HTTP responses with status 100-199 returned by this object since the worker process started",
			Note: "likewise",
		},
	}
	for i := range all {
		all[i].Of = Pool
	}
	return all
}
