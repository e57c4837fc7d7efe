package api

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
)

// Options are the parts of the API. Store is required.
type Options struct {
	Store Store
	// Octavia finds the load balancer of objects that the store does not know; nil answers those with 404.
	Octavia Resolver
	// VIPs makes the ports of VIPs; nil leaves that to Octavia.
	VIPs VIPAllocator
	// Operator answers /v1/status; nil answers it with not_implemented.
	Operator Operator
	// Registry receives the API's metrics and is what /metrics shows; nil makes one.
	Registry *prometheus.Registry
	// Logger receives a line a request; nil discards them.
	Logger *slog.Logger
	// Wake is called after a commit: there is work. It must not block.
	Wake func()
	// Ready says why calls cannot be served at the moment; joined errors are shown one by one. nil is always ready.
	Ready func() error
	// Now is the clock of the audit trail; nil is time.Now.
	Now    func() time.Time
	Limits Limits
}

// Limits bound one request.
type Limits struct {
	// Body is the size of the largest body, in bytes: at most and by default wire.MaxBytes.
	Body int64
	// Time is how long a request may take; 30 s by default. The store and Octavia get no longer than that.
	Time time.Duration
}

type server struct {
	Options
	metrics *metrics
}

// New returns the API. It puts gin, which has one mode a process, into release mode.
func New(options Options) http.Handler {
	s := &server{Options: options}
	if s.Registry == nil {
		s.Registry = prometheus.NewRegistry()
	}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Wake == nil {
		s.Wake = func() {}
	}
	if s.Ready == nil {
		s.Ready = func() error { return nil }
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Limits.Body <= 0 || s.Limits.Body > wire.MaxBytes {
		s.Limits.Body = wire.MaxBytes
	}
	if s.Limits.Time <= 0 {
		s.Limits.Time = 30 * time.Second
	}
	s.metrics = newMetrics(s.Registry)

	// The only way to keep gin from printing every route to stdout; it is safe to repeat.
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.RedirectTrailingSlash = false
	engine.ForwardedByClientIP = false
	engine.Use(s.identify, s.observe, s.recover, s.authorize, s.limit)
	engine.NoRoute(func(c *gin.Context) {
		s.refuse(c, &Error{Code: CodeNotFound, Message: "There is no " + c.Request.URL.Path + " in this API."})
	})
	engine.NoMethod(func(c *gin.Context) {
		s.refuse(c, &Error{
			Code: CodeInvalid, Status: http.StatusMethodNotAllowed,
			Message: c.Request.URL.Path + " cannot be called with " + c.Request.Method + ".",
		})
	})
	s.routes(engine)
	return engine
}

func (s *server) routes(engine *gin.Engine) {
	engine.GET("/healthz", s.healthy)
	engine.GET("/readyz", s.ready)
	engine.GET("/metrics", s.exposeMetrics())

	v1 := engine.Group("/v1")
	s.vipPortRoutes(v1)
	s.loadBalancerRoutes(v1)
	s.listenerRoutes(v1)
	s.poolRoutes(v1)
	s.memberRoutes(v1)
	s.healthMonitorRoutes(v1)
	s.l7PolicyRoutes(v1)
	s.l7RuleRoutes(v1)
	s.flavorRoutes(v1)
	s.availabilityZoneRoutes(v1)
	s.statusRoutes(v1)
}
