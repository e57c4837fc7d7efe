package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
)

// Keys of what handlers leave in gin's context for the log.
const (
	keyRequestID    = "request_id"
	keyLoadBalancer = "lb"
	keyError        = "error"
)

// identify gives the request Octavia's id, or one of its own, and returns it in X-Request-Id.
func (s *server) identify(c *gin.Context) {
	id := c.GetHeader("X-Openstack-Request-Id")
	if id == "" {
		id = c.GetHeader("X-Request-Id")
	}
	if !token(id) {
		id = "req-" + uuid.NewString()
	}
	c.Set(keyRequestID, id)
	c.Header("X-Request-Id", id)
}

// header returns a header that ends up in the audit trail, "" if it is not a plain id.
func header(c *gin.Context, name string) string {
	if value := c.GetHeader(name); token(value) {
		return value
	}
	return ""
}

// token reports whether text is an id: short and safe to log and store.
func token(text string) bool {
	if text == "" || len(text) > 64 {
		return false
	}
	for _, r := range text {
		switch {
		case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '-', r == '_', r == '.', r == ':':
		default:
			return false
		}
	}
	return true
}

// observe logs and counts the request. Labels are of the route, never of an object.
func (s *server) observe(c *gin.Context) {
	start := time.Now()
	c.Next()
	elapsed := time.Since(start)
	s.metrics.observe(c.Request.Method, c.FullPath(), c.Writer.Status(), elapsed)

	attributes := []slog.Attr{
		slog.String("request_id", c.GetString(keyRequestID)),
		slog.String("method", c.Request.Method),
		slog.String("path", c.Request.URL.Path),
		slog.Int("status", c.Writer.Status()),
		slog.Float64("ms", float64(elapsed.Microseconds())/1000),
	}
	if lb := c.GetString(keyLoadBalancer); lb != "" {
		attributes = append(attributes, slog.String("lb", lb))
	}
	level := slog.LevelInfo
	if err, failed := c.Get(keyError); failed {
		attributes = append(attributes, slog.Any("error", err))
		level = slog.LevelWarn
	} else if c.Request.Method == http.MethodGet {
		level = slog.LevelDebug // probes and scrapes
	}
	if c.Writer.Status() >= http.StatusInternalServerError && c.Writer.Status() != http.StatusNotImplemented {
		level = slog.LevelError
	}
	s.Logger.LogAttrs(context.WithoutCancel(c.Request.Context()), level, "request", attributes...)
}

// recover answers a panic with 500. The value of a panic may hold anything, a body even: only that of the runtime is
// logged.
func (s *server) recover(c *gin.Context) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(value)
		}
		text := fmt.Sprintf("a %T", value)
		if err, ok := value.(runtime.Error); ok {
			text = err.Error()
		}
		s.Logger.ErrorContext(context.WithoutCancel(c.Request.Context()), "panic in a handler",
			"request_id", c.GetString(keyRequestID), "panic", text, "stack", string(debug.Stack()))
		if c.Writer.Written() {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
		s.refuse(c, &Error{Code: CodeInternal, Message: internalMessage, Detail: "see the controller's log"})
	}()
	c.Next()
}

// limit bounds the size of the body and the time that the request may take.
func (s *server) limit(c *gin.Context) {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, s.Limits.Body)
	ctx, cancel := context.WithTimeout(c.Request.Context(), s.Limits.Time)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}
