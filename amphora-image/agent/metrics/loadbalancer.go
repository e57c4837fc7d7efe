package metrics

import "github.com/prometheus/client_golang/prometheus"

func loadBalancerMetrics() []Metric {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []Metric{
		{
			Name: "octavia_loadbalancer_cpu", Type: gauge, Series: sum("agent.cpu"),
			Help: "Load balancer CPU utilization (percentage).",
			Note: "Envoy's share of all cores since the scrape before, not the load average of the machine",
		},
		{
			Name: "octavia_loadbalancer_memory", Type: gauge, Series: sum("agent.memory"),
			Help: "Load balancer memory utilization (percentage).",
			Note: "Envoy's share of the machine's memory",
		},
		{
			Name: "octavia_memory_pool_allocated_bytes", Type: gauge, Series: sum("server.memory_heap_size"),
			Help: "Total amount of memory allocated in the memory pools (in bytes).",
			Note: "Envoy's heap, with what it keeps for later",
		},
		{
			Name: "octavia_memory_pool_used_bytes", Type: gauge, Series: sum("server.memory_allocated"),
			Help: "Total amount of memory used in the memory pools (in bytes).",
		},
		{
			Name: "octavia_loadbalancer_current_connections", Type: gauge, Series: sum("listener.downstream_cx_active"),
			Help: "Current number of connections on this worker process",
			Note: "without the connections to members and without UDP",
		},
		{
			Name: "octavia_loadbalancer_connections_total", Type: counter, Series: sum("listener.downstream_cx_total"),
			Help: "Total number of connections on this worker process since started",
			Note: "as above; those of listeners that are gone stay in it",
		},
		{
			Name: "octavia_loadbalancer_requests_total", Type: counter,
			Series: sum("http.downstream_rq_total", "tcp.downstream_cx_total"),
			Help:   "Total number of requests on this worker process since started",
			Note:   "a TCP connection counts as one, as with HAProxy; those of listeners that are gone stay in it",
		},
		{
			Name: "octavia_loadbalancer_listeners", Type: gauge, Series: sum("agent.listeners"),
			Help: "Current number of active listeners on the current worker process",
			Note: "the load balancer's; HAProxy counts addresses and two of its own",
		},
	}
}
