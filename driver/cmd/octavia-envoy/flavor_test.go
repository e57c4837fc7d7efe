package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestFlavorSchemaIsTheFile(t *testing.T) {
	want, err := os.ReadFile("../../flavor/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := mustRun(t, "flavor", "schema"); got != string(want) || !json.Valid([]byte(got)) {
		t.Errorf("got %s", got)
	}
}

func TestFlavorCheck(t *testing.T) {
	const want = `{"access_log":true,"retries":{"attempts":2,"retry_on":["reset"]}}` + "\n"
	for name, data := range map[string]string{
		"YAML": "access_log: true\nretries:\n  retry_on: [reset]\n  attempts: 2\n",
		"JSON": `{"retries": {"retry_on": ["reset"], "attempts": 2}, "access_log": true}`,
	} {
		if got := mustRun(t, "flavor", "check", "-f", writeFile(t, "flavor", data)); got != want {
			t.Errorf("%s: got %s", name, got)
		}
		if got, err := runWith(t, data, "flavor", "check", "-f", "-"); err != nil || got != want {
			t.Errorf("%s on standard input: got %s, %v", name, got, err)
		}
	}
}

func TestFlavorCheckRefuses(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"all problems": {
			"retries: {retry_on: [reset], attempts: 11}\naccess_log: yes please\n",
			"flavor.access_log must be true or false, not \"yes please\".\n" +
				"flavor.retries.attempts must be a whole number between 1 and 10, not 11.",
		},
		"an unknown key":          {"retry: {}", "flavor.retry is unknown; did you mean retries?"},
		"a key that comes twice":  {"access_log: true\naccess_log: false\n", `"access_log" already set`},
		"nothing":                 {"", "must be an object"},
		"a list":                  {"[]", "must be an object"},
		"more than Octavia takes": {"compression: {algorithms: [" + strings.Repeat("gzip, ", 1000) + "gzip]}", "Octavia takes no more than 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := runWith(t, c.data, "flavor", "check", "-f", "-")
			if err == nil {
				t.Fatalf("accepted: %s", out)
			}
			contains(t, err.Error(), "-:\n", c.want)
			if out != "" {
				t.Errorf("printed in spite of it: %s", out)
			}
		})
	}
	if _, err := run(t, "flavor", "check", "-f", "/nonexistent"); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("without the file: %v", err)
	}
}
