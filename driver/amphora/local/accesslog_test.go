package local_test

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent"
	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/accesslog"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/local"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestAccessLogOptionsReachTheAgent builds an amphora whose agent ends at once.
func TestAccessLogOptionsReachTheAgent(t *testing.T) {
	controller := amphoratest.New(t)
	group, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	wanted := accesslog.Config{
		MaxFileBytes: 1 << 20, Files: 3, Targets: []string{"tls:logs.example:6514"}, Facility: 2, CAFile: "/ca.pem",
		CertFile: "/cert.pem", KeyFile: "/key.pem",
	}
	spec := amphora.Spec{Amphora: model.Amphora{ID: "a1", LoadBalancerID: "lb"}}
	for name, dir := range map[string]string{"by default": "", "elsewhere": filepath.Join(controller.Dir, "log")} {
		t.Run(name, func(t *testing.T) {
			options := local.Options{
				StateDir: filepath.Join(controller.Dir, "s"), RunDir: filepath.Join(controller.Dir, "r"),
				AgentPath: "/bin/true", EnvoyPath: "/bin/true", Controller: controller.Address(), Issuer: controller.Authority,
				Namespace: func(string) string { return "" }, Enter: func(_ string, do func() error) error { return do() },
				AccessLog: wanted, AccessLogDir: dir,
			}
			wanted.Dir = filepath.Join(options.StateDir, "a1", "log")
			if dir != "" {
				options.AccessLogGroup, wanted.Dir = group.Name, filepath.Join(dir, "a1")
			}
			compute, err := local.New(options)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := compute.Build(t.Context(), spec); err != nil {
				t.Fatal(err)
			}
			config, err := agent.LoadConfig(filepath.Join(options.StateDir, "a1", "agent.json"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wanted, config.AccessLog); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			info, err := os.Stat(wanted.Dir)
			if err != nil || info.Mode().Perm() != 0o750 || int(info.Sys().(*syscall.Stat_t).Gid) != os.Getgid() {
				t.Errorf("%s: %v, %v", wanted.Dir, info, err)
			}
			if err := compute.Delete(t.Context(), spec.Amphora); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(wanted.Dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("left behind: %s (%v)", wanted.Dir, err)
			}
		})
	}
}
