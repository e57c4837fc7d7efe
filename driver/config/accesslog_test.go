package config

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestAccessLog(t *testing.T) {
	env := map[string]string{"OCTAVIA_ENVOY_AMPHORA_ACCESS_LOG_TARGETS": "tls:logs.example:6514,udp:[2001:db8::1]:514"}
	config, err := Load("", func(name string) (string, bool) { value, ok := env[name]; return value, ok }, needed())
	if err != nil {
		t.Fatal(err)
	}
	if log := config.Amphora.AccessLog; len(log.Targets) != 2 || log.Files != 4 || log.MaxFileMiB != 64 || log.Facility != 0 {
		t.Errorf("it is %+v", log)
	}
	path := filepath.Join(t.TempDir(), "c.yaml")
	write(t, path, `
amphora:
  access_log: {group: adm, max_file_mib: 0, files: 1, targets: ["syslog.example:514"], facility: 8, ca_file: ca.pem, key_file: /key.pem}
`)
	_, err = Load(path, none, needed())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"amphora.access_log.group: cannot enter", "amphora.access_log.max_file_mib: must be", "amphora.access_log.files: must be at least 2",
		`amphora.access_log.targets: "syslog.example:514" is no syslog receiver`, "amphora.access_log.facility: 8 is none",
		`amphora.access_log.ca_file: "ca.pem" is no absolute path`, "amphora.access_log.certificate_file: belongs together",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}
