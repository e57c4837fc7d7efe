package metrics

import "github.com/prometheus/client_golang/prometheus"

func listenerMetrics() []Metric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	all := []Metric{
		{
			Name: "octavia_listener_status", Type: gauge, Label: "state", Series: status(),
			Help: "Current status of the listener.",
			Note: "UP while Envoy has the listener; one that is disabled has no metrics, as with HAProxy",
		},
		{
			Name: "octavia_listener_current_sessions", Type: gauge,
			Series: sum("listener.downstream_cx_active", "udp.downstream_sess_active"),
			Help:   "Number of current sessions on the frontend, backend or server",
		},
		{
			Name: "octavia_listener_sessions_total", Type: counter,
			Series: sum("listener.downstream_cx_total", "udp.downstream_sess_total"),
			Help:   "Total number of sessions since process started",
		},
		{
			Name: "octavia_listener_connections_total", Type: counter,
			Series: sum("listener.downstream_cx_total", "udp.downstream_sess_total"),
			Help:   "Total number of new connections accepted on this frontend since the worker process started",
		},
		{
			Name: "octavia_listener_bytes_in_total", Type: counter,
			Series: sum("http.downstream_cx_rx_bytes_total", "tcp.downstream_cx_rx_bytes_total", "udp.downstream_sess_rx_bytes"),
			Help:   "Total number of request bytes since process started",
		},
		{
			Name: "octavia_listener_bytes_out_total", Type: counter,
			Series: sum("http.downstream_cx_tx_bytes_total", "tcp.downstream_cx_tx_bytes_total", "udp.downstream_sess_tx_bytes"),
			Help:   "Total number of response bytes since process started",
		},
		{
			Name: "octavia_listener_denied_connections_total", Type: counter,
			Series: sum("listener.no_filter_chain_match", "connection_limit.limited_connections"),
			Help:   "Total number of requests denied by connection rules.",
			Note:   "connections closed for `allowed_cidrs` or `connection_limit`; always 0 on an amphora, which does neither so",
		},
		{
			Name: "octavia_listener_request_errors_total", Type: counter, Series: sum("http.downstream_cx_protocol_error"),
			Help: "Total number of invalid requests since process started",
			Note: "HTTP that Envoy cannot read",
		},
		{
			Name: "octavia_listener_intercepted_requests_total", Type: counter, Series: sum("http.rq_direct_response"),
			Help: "Total number of HTTP requests intercepted on the frontend (redirects/stats/services) since the worker process started",
			Note: "with those that an L7 policy rejected, and those of a listener without a pool",
		},
		{
			Name: "octavia_listener_http_requests_total", Type: counter, Series: sum("http.downstream_rq_total"),
			Help: "Total number of HTTP requests processed by this object since the worker process started",
		},
		{
			Name: "octavia_listener_http_responses_total", Type: counter, Label: "code", Series: byClass("http.downstream_rq_"),
			Help: "Total number of HTTP responses with status 100-199 returned by this object since the worker process started",
			Note: "of all classes, whatever the help says",
		},
	}
	for i := range all {
		all[i].Of = Listener
	}
	return all
}
