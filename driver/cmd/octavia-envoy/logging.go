package main

import (
	"log/slog"
	"os"

	"github.com/octavia-envoy/octavia-envoy/driver/config"
)

// logger writes to standard error, as the configuration says.
func logger(log config.Log) *slog.Logger {
	var level slog.Level
	// The configuration was validated: what does not parse is the default, info.
	_ = level.UnmarshalText([]byte(log.Level))
	options := &slog.HandlerOptions{Level: level}
	if log.Format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}
