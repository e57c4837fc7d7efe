package metrics

// omission is why some of Octavia's metrics are not there.
type omission struct {
	Why   string
	Names []string
}

// omissions are the metrics of an amphora that Envoy cannot know, or that nothing here would ever change.
func omissions() []omission {
	return []omission{
		{"Envoy keeps no highest values: let Prometheus find them, by `max_over_time`", []string{
			"octavia_listener_connections_rate_max", "octavia_listener_http_requests_rate_max",
			"octavia_listener_max_session_rate", "octavia_listener_max_sessions", "octavia_loadbalancer_max_connection_rate",
			"octavia_loadbalancer_max_session_rate", "octavia_member_max_connect_time_seconds", "octavia_member_max_queue",
			"octavia_member_max_queue_time_seconds", "octavia_member_max_response_time_seconds",
			"octavia_member_max_session_rate", "octavia_member_max_sessions", "octavia_member_max_total_time_seconds",
			"octavia_pool_max_connect_time_seconds", "octavia_pool_max_queue", "octavia_pool_max_queue_time_seconds",
			"octavia_pool_max_response_time_seconds", "octavia_pool_max_session_rate", "octavia_pool_max_sessions",
			"octavia_pool_max_total_time_seconds",
		}},
		{"Envoy keeps no rates: let Prometheus make them, by `rate`", []string{
			"octavia_loadbalancer_current_connection_rate", "octavia_loadbalancer_current_session_rate",
		}},
		{"settings, which Envoy does not count; most of these have no counterpart", []string{
			"octavia_listener_limit_session_rate", "octavia_listener_limit_sessions",
			"octavia_loadbalancer_limit_connection_rate", "octavia_loadbalancer_limit_http_comp",
			"octavia_loadbalancer_limit_session_rate", "octavia_loadbalancer_limit_ssl_rate",
			"octavia_loadbalancer_max_connections", "octavia_loadbalancer_max_ssl_connections",
			"octavia_member_idle_connections_limit", "octavia_member_limit_sessions", "octavia_member_queue_limit",
			"octavia_pool_limit_sessions",
		}},
		{"Envoy counts handshakes for each listener, and nothing is made of that yet", []string{
			"octavia_loadbalancer_current_backend_ssl_key_rate", "octavia_loadbalancer_current_frontend_ssl_key_rate",
			"octavia_loadbalancer_current_ssl_connections", "octavia_loadbalancer_current_ssl_rate",
			"octavia_loadbalancer_frontend_ssl_reuse", "octavia_loadbalancer_max_backend_ssl_key_rate",
			"octavia_loadbalancer_max_frontend_ssl_key_rate", "octavia_loadbalancer_max_ssl_rate",
			"octavia_loadbalancer_ssl_cache_lookups_total", "octavia_loadbalancer_ssl_cache_misses_total",
			"octavia_loadbalancer_ssl_connections_total",
		}},
		{"what monitors find is told to Octavia, as operating statuses, and nothing is made of it here yet", []string{
			"octavia_member_check_failures_total", "octavia_member_check_last_change_seconds",
			"octavia_member_check_up_down_total", "octavia_member_downtime_seconds_total",
			"octavia_pool_check_last_change_seconds", "octavia_pool_check_up_down_total",
			"octavia_pool_downtime_seconds_total",
		}},
		{"Envoy counts these for the pool and not for each member: see `octavia_pool_…`", []string{
			"octavia_member_bytes_in_total", "octavia_member_bytes_out_total", "octavia_member_current_queue",
			"octavia_member_http_responses_total", "octavia_member_response_errors_total",
			"octavia_member_retry_warnings_total",
		}},
		{"Envoy has times as histograms of all its life, and not of the last 1,024", []string{
			"octavia_member_connect_time_average_seconds", "octavia_member_queue_time_average_seconds",
			"octavia_member_response_time_average_seconds", "octavia_member_total_time_average_seconds",
			"octavia_pool_connect_time_average_seconds", "octavia_pool_queue_time_average_seconds",
			"octavia_pool_response_time_average_seconds", "octavia_pool_total_time_average_seconds",
			"octavia_member_last_session_seconds", "octavia_pool_last_session_seconds",
		}},
		{"Envoy does not tell these ends of a connection from others", []string{
			"octavia_member_client_aborts_total", "octavia_member_server_aborts_total",
			"octavia_pool_client_aborts_total", "octavia_pool_member_aborts_total",
		}},
		{"Envoy does not count how connections are used again", []string{
			"octavia_member_connection_reuses_total", "octavia_member_idle_connections_current",
			"octavia_pool_connection_reuses_total",
		}},
		{"each retry goes to another member: see `octavia_pool_retry_warnings_total`", []string{
			"octavia_member_redispatch_warnings_total", "octavia_pool_redispatch_warnings_total",
		}},
		{"see `…_sessions_total`", []string{"octavia_member_loadbalanced_total", "octavia_pool_loadbalanced_total"}},
		{"Envoy does not tell what a policy rejected from its other own answers: see " +
			"`octavia_listener_intercepted_requests_total`", []string{"octavia_listener_requests_denied_total"}},
		{"for what Octavia does not have HAProxy do, and so always 0", []string{
			"octavia_listener_denied_sessions_total", "octavia_listener_failed_header_rewriting_total",
			"octavia_listener_http_cache_hits_total", "octavia_listener_http_cache_lookups_total",
			"octavia_listener_http_comp_bytes_bypassed_total", "octavia_listener_http_comp_bytes_in_total",
			"octavia_listener_http_comp_bytes_out_total", "octavia_listener_http_comp_responses_total",
			"octavia_listener_responses_denied_total", "octavia_loadbalancer_dropped_logs_total",
			"octavia_loadbalancer_http_comp_bytes_in_total", "octavia_loadbalancer_http_comp_bytes_out_total",
			"octavia_member_current_throttle", "octavia_member_failed_header_rewriting_total",
			"octavia_member_responses_denied_total", "octavia_memory_pool_failures_total",
			"octavia_pool_failed_header_rewriting_total", "octavia_pool_http_cache_hits_total",
			"octavia_pool_http_cache_lookups_total", "octavia_pool_http_comp_bytes_bypassed_total",
			"octavia_pool_http_comp_bytes_in_total", "octavia_pool_http_comp_bytes_out_total",
			"octavia_pool_http_comp_responses_total", "octavia_pool_requests_denied_total",
			"octavia_pool_responses_denied_total",
		}},
	}
}
