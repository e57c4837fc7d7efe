package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// example is the load balancer that README.md shows, word for word.
func example(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```yaml\n# lb.yaml\n(.*?)```").FindSubmatch(readme)
	if found == nil {
		t.Fatal("README.md has no yaml that begins with # lb.yaml")
	}
	return string(found[1])
}

func TestTranslatePrintsEveryType(t *testing.T) {
	path := writeFile(t, "lb.yaml", example(t))
	fromFile := mustRun(t, "translate", "-f", path)
	contains(t, fromFile, "# clusters.yaml", "# endpoints.yaml", "# listeners.yaml", "# routes.yaml",
		"address: 203.0.113.80", "address: 203.0.113.21", "load_balancing_weight: 3")
	fromStdin, err := runWith(t, example(t), "translate", "-f", "-")
	if err != nil || fromStdin != fromFile {
		t.Errorf("standard input gives something else: %v\n%s", err, fromStdin)
	}
}

func TestTranslateRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, with, want string }{
		"an unknown key":         {"vip_address:", "vip_addr:", `vip_addr`},
		"a key that comes twice": {"vip_address:", "vip_address: 192.0.2.1\nvip_address:", `"vip_address" already set`},
		"an option that is not supported": {
			"protocol: HTTP\n  protocol_port: 80\n  default_pool_id", "protocol: SCTP\n  protocol_port: 80\n  default_pool_id",
			"protocol: Envoy has no SCTP; use a TCP listener, or the provider amphora for SCTP.",
		},
		"an id that is none": {"loadbalancer_id: ", "loadbalancer_id: x", "must be a UUID"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(example(t), c.old, c.with, 1)
			if changed == example(t) {
				t.Fatalf("the example has no %q", c.old)
			}
			out, err := runWith(t, changed, "translate", "-f", "-")
			if err == nil {
				t.Fatalf("accepted:\n%s", out)
			}
			contains(t, err.Error(), c.want)
			if out != "" {
				t.Errorf("printed in spite of it:\n%s", out)
			}
		})
	}
}

func TestTranslateNamesTheFile(t *testing.T) {
	if _, err := run(t, "translate", "-f", "/nonexistent/lb.yaml"); err == nil || !strings.Contains(err.Error(), "/nonexistent/lb.yaml") {
		t.Errorf("got %v", err)
	}
	if _, err := run(t, "translate"); err == nil || !strings.Contains(err.Error(), `"file" not set`) {
		t.Errorf("without a file: %v", err)
	}
}

// TestREADMEQuotesRefusals keeps the table of README.md what users read.
func TestREADMEQuotesRefusals(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), "| asked for | the user reads |\n|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	const id = "7f3c1f0a-52f4-4a0e-9d3c-2f6f4c1f7a11"
	pool, lb := "  lb_algorithm:", "vip_address:"
	asked := map[string][2]string{ // what of the example becomes what
		"SCTP":  {"protocol: HTTP", "protocol: SCTP"},
		"SSLv3": {pool, "  tls_enabled: true\n  tls_versions: [SSLv3]\n" + pool},
		"health monitors of the type SCTP": {
			pool, "  healthmonitor: {healthmonitor_id: " + id + ", type: SCTP, delay: 5, timeout: 5, max_retries: 3}\n" + pool,
		},
		"QoS policies":    {lb, "vip_qos_policy_id: " + id + "\n" + lb},
		"security groups": {lb, "vip_sg_ids: [" + id + "]\n" + lb},
		"ACTIVE_STANDBY":  {lb, "flavor: {loadbalancer_topology: ACTIVE_STANDBY}\n" + lb},
	}
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		change, known := asked[cells[0]]
		if !known || len(cells) != 2 {
			t.Errorf("no case for the row %q", row)
			continue
		}
		_, err := runWith(t, strings.Replace(example(t), change[0], change[1], 1), "translate", "-f", "-")
		if err == nil || !strings.Contains(err.Error(), cells[1]) {
			t.Errorf("%s: the table says %q, the driver %v", cells[0], cells[1], err)
		}
		delete(asked, cells[0])
	}
	if len(asked) > 0 {
		t.Errorf("rows are gone: %v", asked)
	}
}
