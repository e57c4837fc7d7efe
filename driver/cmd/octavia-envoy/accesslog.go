package main

import (
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/accesslog"
	"github.com/octavia-envoy/octavia-envoy/driver/config"
)

// accessLog is the agents' part of what is configured.
func accessLog(options config.AccessLog) accesslog.Config {
	return accesslog.Config{
		MaxFileBytes: int64(options.MaxFileMiB) << 20, Files: options.Files, Targets: options.Targets, Facility: options.Facility,
		CAFile: options.CAFile, CertFile: options.CertificateFile, KeyFile: options.KeyFile,
	}
}
