package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	return &metrics{
		requests: register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "octavia_envoy_api_requests_total",
			Help: "Requests to the provider and operator API, by route and HTTP status.",
		}, []string{"method", "route", "status"})),
		seconds: register(registry, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "octavia_envoy_api_request_duration_seconds",
			Help:    "How long requests to the provider and operator API took. Octavia holds a row lock meanwhile.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route"})),
	}
}

// register registers a collector, or returns the one that an earlier API on the same registry has registered.
func register[T prometheus.Collector](registry prometheus.Registerer, collector T) T {
	err := registry.Register(collector)
	already := new(prometheus.AlreadyRegisteredError)
	if errors.As(err, already) {
		if existing, ok := already.ExistingCollector.(T); ok {
			return existing
		}
	}
	return collector
}

func (m *metrics) observe(method, route string, status int, elapsed time.Duration) {
	if route == "" {
		method, route = "other", "unmatched" // both are the client's to invent
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(method, route).Observe(elapsed.Seconds())
}

func (s *server) exposeMetrics() gin.HandlerFunc {
	handler := promhttp.HandlerFor(s.Registry, promhttp.HandlerOpts{})
	return func(c *gin.Context) { http.Handler(handler).ServeHTTP(c.Writer, c.Request) }
}
