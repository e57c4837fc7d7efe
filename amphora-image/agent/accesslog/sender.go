package accesslog

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/syslog"
)

const (
	// dialWithin and sendWithin bound one try with one receiver.
	dialWithin, sendWithin = 5 * time.Second, 30 * time.Second
	// firstRetry and longestRetry bound the wait when no receiver can be reached.
	firstRetry, longestRetry = time.Second, 30 * time.Second
	// preferAfter is how long a receiver that stands in for the first one keeps doing so before the first one is tried again.
	preferAfter = time.Minute
	// appName is what messages come from, in syslog's words.
	appName = "octavia-envoy"
	// dataID names the structured data. 32473 is nobody's enterprise number (RFC 5612); the project has none of its own.
	dataID = "octavia@32473"
)

// sender sends what the spool has.
type sender struct {
	config  *Config
	targets []syslog.Target
	host    string
	spool   *spool
	logger  *slog.Logger
	idle    time.Duration

	connection *syslog.Connection
	connected  time.Time
	// target is that of the connection.
	target int
}

func newSender(options Options, from *spool) *sender {
	s := &sender{config: &options.Config, host: options.Host, spool: from, logger: options.Logger, idle: options.Every / 4}
	for _, text := range options.Config.Targets {
		target, err := syslog.ParseTarget(text)
		if err == nil { // checked with the configuration
			s.targets = append(s.targets, target)
		}
	}
	return s
}

// run sends until ctx is done, and then what is left, for a while.
func (s *sender) run(ctx context.Context) {
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(ctx, func() { time.AfterFunc(drainWithin, cancel) })
	defer s.disconnect()
	wait := firstRetry
	for working.Err() == nil {
		more, err := s.step(working)
		switch {
		case err != nil:
			s.disconnect()
			if ctx.Err() != nil {
				return // no receiver for the rest
			}
			s.logger.Warn("cannot send the access log", "error", err, "retry_in", wait.String())
			s.pause(ctx, wait)
			wait = min(2*wait, longestRetry)
		case !more && ctx.Err() != nil:
			return
		case !more:
			s.pause(ctx, s.idle)
			wait = firstRetry
		default:
			wait = firstRetry
		}
	}
}

func (s *sender) pause(ctx context.Context, wait time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// step sends a batch. It reports whether there was one.
func (s *sender) step(ctx context.Context) (more bool, err error) {
	next, err := s.spool.next()
	if err != nil || len(next.lines) == 0 {
		return false, err
	}
	if err := s.connect(ctx); err != nil {
		return true, err
	}
	messages := make([]*syslog.Message, 0, len(next.lines))
	for _, line := range next.lines {
		if json.Valid(line) {
			messages = append(messages, s.message(line))
		}
	}
	connection := s.connection
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	sent, err := connection.Send(messages, sendWithin)
	if err != nil {
		return true, err
	}
	s.spool.commit(next, sent)
	return true, nil
}

// connect sees to a connection, with the first of the targets that takes one.
func (s *sender) connect(ctx context.Context) error {
	if s.connection != nil && s.target > 0 && time.Since(s.connected) > preferAfter {
		s.disconnect()
	}
	if s.connection != nil {
		return nil
	}
	var problems []error
	for i, target := range s.targets {
		var config *tls.Config
		var err error
		if target.Transport == syslog.TLS {
			config, err = s.config.tls()
		}
		if err == nil {
			dialling, cancel := context.WithTimeout(ctx, dialWithin)
			s.connection, err = syslog.Dial(dialling, target, config)
			cancel()
		}
		if err == nil {
			s.target, s.connected = i, time.Now()
			s.logger.Info("sending the access log", "target", target.String())
			return nil
		}
		s.connection = nil
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func (s *sender) disconnect() {
	if s.connection != nil {
		_ = s.connection.Close()
		s.connection = nil
	}
}

// message makes a message of a line. The project is in it, so that a receiver can tell its users' logs apart.
func (s *sender) message(line []byte) *syslog.Message {
	return &syslog.Message{
		Facility: syslog.Local0 + s.config.Facility, Severity: syslog.Informational,
		Time: value(line, "time"), Host: s.host, App: appName, ID: value(line, "listener_protocol"),
		DataID: dataID, Data: []syslog.Param{
			{Name: "project_id", Value: value(line, "project_id")},
			{Name: "loadbalancer_id", Value: value(line, "loadbalancer_id")},
			{Name: "listener_id", Value: value(line, "listener_id")},
		},
		Text: line,
	}
}

// value returns a string of a line, "" without. It only looks for the name between quotes: within a string of JSON, quotes have a
// backslash before them, and so no client can put a name there.
func value(line []byte, name string) string {
	_, rest, found := bytes.Cut(line, []byte(`"`+name+`":"`))
	if !found {
		return ""
	}
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(text)
}
