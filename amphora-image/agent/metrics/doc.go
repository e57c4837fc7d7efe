// Package metrics serves a load balancer's own metrics under Octavia's names, for its PROMETHEUS listeners:
//
//	Prometheus ─► VIP, PROMETHEUS listener ─► Envoy ─► metrics.sock ─► Run ─► one reading a second ─► Envoy's admin socket
//
// The lists of metrics (loadBalancerMetrics, listenerMetrics, poolMetrics, memberMetrics) are the one place that says what
// there is: what Envoy is asked for, what a scrape has, and METRICS.md all follow from them. omitted_test.go has what the amphora
// provider has and Envoy cannot know.
//
// Names, help texts and labels are those of octavia/cmd/prometheus_proxy.py of Octavia 19 in front of HAProxy 2.6, so that
// dashboards and alerts made for amphorae go on working. Nothing else is in a scrape: nothing about Envoy's connection with
// its controller, its certificates, its admin interface, or another load balancer.
package metrics
