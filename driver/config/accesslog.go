package config

import (
	"path/filepath"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/syslog"
)

// AccessLog says where the access logs of load balancers are whose flavor wants one, how large they may become, and where
// they are sent. An agent that runs keeps what it was started with.
type AccessLog struct {
	Directory string `json:"directory" help:"folder with a folder for each amphora's access log; empty keeps them below state_directory, where only root reads"`
	Group     string `json:"group" help:"group that may read access logs, for instance adm; needs access_log.directory"`
	// MaxFileMiB and Files are for each amphora.
	MaxFileMiB int      `json:"max_file_mib" help:"size in MiB at which an access log's file is put aside"`
	Files      int      `json:"files" help:"files of an amphora's access log at most; the oldest is deleted"`
	Targets    []string `json:"targets" help:"syslog receivers of access logs: tcp:host:port, tls:host:port, udp:host:port or unix:/path; each but the first stands in for those before it"`
	Facility   int      `json:"facility" help:"n of syslog's LOCALn, 0 to 7"`
	CAFile     string   `json:"ca_file" help:"authorities of syslog receivers over TLS; empty takes the system's"`
	// CertificateFile and KeyFile are read by the agents.
	CertificateFile string `json:"certificate_file" help:"client certificate for syslog receivers that ask for one"`
	KeyFile         string `json:"key_file" help:"key of that certificate"`
}

// maxFileMiB keeps a number of bytes from overflowing; a terabyte is no log file.
const maxFileMiB = 1 << 20

func (a *AccessLog) validate(bad func(key, format string, args ...any)) {
	for key, path := range map[string]string{
		"directory": a.Directory, "ca_file": a.CAFile, "certificate_file": a.CertificateFile, "key_file": a.KeyFile,
	} {
		if path != "" && !filepath.IsAbs(path) {
			bad("amphora.access_log."+key, "%q is no absolute path", path)
		}
	}
	if a.Group != "" && a.Directory == "" {
		bad("amphora.access_log.group", "cannot enter amphora.state_directory: set amphora.access_log.directory, too")
	}
	if a.MaxFileMiB < 1 || a.MaxFileMiB > maxFileMiB {
		bad("amphora.access_log.max_file_mib", "must be between 1 and %d", maxFileMiB)
	}
	if a.Files < 2 {
		bad("amphora.access_log.files", "must be at least 2: one is written, one put aside")
	}
	for _, target := range a.Targets {
		if _, err := syslog.ParseTarget(target); err != nil {
			bad("amphora.access_log.targets", "%v", err)
		}
	}
	if a.Facility < 0 || a.Facility > 7 {
		bad("amphora.access_log.facility", "%d is none of LOCAL0 to LOCAL7", a.Facility)
	}
	if (a.CertificateFile == "") != (a.KeyFile == "") {
		bad("amphora.access_log.certificate_file", "belongs together with key_file: set both or none")
	}
}
