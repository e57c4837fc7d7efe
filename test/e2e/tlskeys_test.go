package e2e

import (
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// asController is the CLI in the hands of who runs the controller, with its user.
func (c *cloud) asController(t *testing.T, words string) string {
	t.Helper()
	script := `export OS_USERNAME=octavia OS_PROJECT_NAME=service OS_PASSWORD="$(cat "$0")"; exec "$@"`
	password := filepath.Join(c.env["OE_STATE"], "etc", "octavia.password")
	return c.run(t, "sh", append([]string{"-c", script, password, c.env["OPENSTACK"]}, strings.Fields(words)...)...)
}

// keysOf reads a secret of keys as the controller's user, and notes the keys, whose traces are looked for.
func (c *cloud) keysOf(t *testing.T, ref string) string {
	t.Helper()
	content := strings.TrimSpace(c.asController(t, "secret get --payload -f value -c Payload "+ref)) + "\n"
	kept.Lock()
	defer kept.Unlock()
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			t.Fatalf("%d words in a line of keys", len(fields))
		}
		key, err := base64.StdEncoding.DecodeString(fields[1])
		if err != nil || len(key) != 32 {
			t.Fatalf("%d bytes for a key", len(key))
		}
		name := "key of the database " + fields[0]
		kept.marks[name], kept.marks[name+" in base64"], kept.marks[name+" in hex"] = key, []byte(fields[1][:40]), []byte(hex.EncodeToString(key))
	}
	return content
}

// unmark forgets the keys of the database, where a file is to have them again.
func unmark() {
	kept.Lock()
	defer kept.Unlock()
	for name := range kept.marks {
		if strings.HasPrefix(name, "key of the database ") {
			delete(kept.marks, name)
		}
	}
}

// newKey has a key made in Barbican; the test's end deletes its secret.
func (c *cloud) newKey(t *testing.T, args ...string) string {
	t.Helper()
	ref := strings.TrimSpace(c.run(t, c.env["OE_BINARY"], append([]string{"db", "new-key", "--barbican", "--config", c.env["OE_CONFIG"]}, args...)...))
	if !strings.HasPrefix(ref, "http") || strings.ContainsAny(ref, " \n") {
		t.Fatal("what is printed is no reference alone")
	}
	t.Cleanup(func() {
		if strings.Contains(c.asController(t, "secret list --limit 1000 -f value"), ref) {
			c.asController(t, "secret delete "+ref)
		}
	})
	return ref
}

// keysFrom has the configuration take the keys from elsewhere: "key_file: …" or "key_ref: …".
func (c *cloud) keysFrom(t *testing.T, where string) {
	t.Helper()
	path := c.env["OE_CONFIG"]
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^  key_(file|ref): .*$`)
	if !line.Match(before) {
		t.Fatalf("no keys in\n%s", before)
	}
	if err := os.WriteFile(path, line.ReplaceAll(before, []byte("  "+where)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *cloud) rekey(t *testing.T) string {
	t.Helper()
	return c.run(t, c.env["OE_BINARY"], "db", "rekey", "--config", c.env["OE_CONFIG"])
}

// sealedWith are the ids of the keys that the database needs.
func (c *cloud) sealedWith(t *testing.T) string {
	t.Helper()
	database, err := sql.Open("sqlite", "file:"+c.env["OE_STORE"]+"?mode=ro&_pragma=busy_timeout(15000)")
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	var ids sql.NullString
	if err := database.QueryRowContext(t.Context(), "SELECT group_concat(DISTINCT key_id) FROM secrets").Scan(&ids); err != nil {
		t.Fatal(err)
	}
	return ids.String
}

// TestKeysInBarbican has the keys of the controller's database in Barbican: it moves there, replaces them, starts while Barbican is down, and
// moves back to a file, while a listener with TLS serves.
func TestKeysInBarbican(t *testing.T) {
	c := shared
	s := c.tlsService(t, "e2e-key-ref")
	file := filepath.Join(c.env["OE_STATE"], "secrets.key")
	original, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Fields(string(original))[0]
	if got := c.sealedWith(t); got != first {
		t.Fatalf("the database is sealed with %q, and the file has %q", got, first)
	}
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inBarbican := "" // all keys that were ever in use, for the way back
	t.Cleanup(func() {
		unmark()
		write(string(original) + strings.ReplaceAll(inBarbican, string(original), ""))
		c.keysFrom(t, "key_file: "+file)
		c.restartController(t)
		c.rekey(t)
		write(string(original))
		c.restartController(t)
	})
	before, pushed := c.versions(t, s.lb.ID), s.pushed(t)
	unharmed := func(when string) {
		t.Helper()
		s.serves(t, when)
		s.connected(t)
		if got := changed(before, c.versions(t, s.lb.ID)); len(got) != 0 && fmt.Sprint(got) != "[endpoints]" {
			t.Errorf("%s: changed %v", when, got)
		}
		if after := s.pushed(t); after != pushed {
			t.Errorf("%s: Envoy took updates: before %s, after %s", when, pushed, after)
		}
	}

	// To Barbican, where others cannot read it.
	one := c.newKey(t, "e2e-1")
	c.nobodyElseReads(t, one)
	inBarbican = c.keysOf(t, one)
	if !strings.HasPrefix(inBarbican, "e2e-1 ") || !strings.HasSuffix(inBarbican, "\n"+string(original)) {
		t.Error("the secret does not have the new key and then that of the file")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.keysFrom(t, "key_ref: "+one)
	c.restartController(t)
	unharmed("with keys from Barbican")
	if got := c.rekey(t); !strings.Contains(got, `sealed with another key than "e2e-1"`) || c.sealedWith(t) != "e2e-1" {
		t.Errorf("rekey says %q, the database is sealed with %q", got, c.sealedWith(t))
	}
	c.restartController(t)
	unharmed("sealed anew")

	// Another key, and the first one goes.
	two := c.newKey(t, "e2e-2", "--without", first)
	content := c.keysOf(t, two)
	if strings.Contains(content, first+" ") || strings.Count(content, "\n") != 2 {
		t.Errorf("%d keys, that of the file among them %t", strings.Count(content, "\n"), strings.Contains(content, first+" "))
	}
	inBarbican = content + inBarbican
	inBarbican = strings.Join(unique(strings.SplitAfter(inBarbican, "\n")), "")
	c.keysFrom(t, "key_ref: "+two)
	c.restartController(t)
	c.rekey(t)
	c.asController(t, "secret delete "+one)
	// What is new is sealed with it, too.
	s.certificate = s.issuer.Issue(pki.Options{Names: []string{"www.example.com"}, RSA: 2048})
	s.put(t, "listener", "listeners/"+s.id(t, "listener web"), fields{"default_tls_container_ref": c.bundle(t, s.certificate)})
	s.serves(t, "with a new certificate")
	if got := c.sealedWith(t); got != "e2e-2" {
		t.Errorf("sealed with %q", got)
	}
	before, pushed = c.versions(t, s.lb.ID), s.pushed(t)

	// A reference to nothing.
	c.service(t, "kill", "controller")
	c.keysFrom(t, "key_ref: "+one)
	if _, problem, err := c.try(t, c.env["OE_CLOUD"], "start", "--instance", c.env["OE_INSTANCE"], "controller"); err == nil ||
		!strings.Contains(problem, "store.key_ref: the secret "+one+" does not exist in Barbican") {
		t.Errorf("a controller without its keys: %v: %s", err, problem)
	}
	s.open.ask(t, "without a controller")

	// Barbican is down when it starts.
	c.keysFrom(t, "key_ref: "+two)
	c.service(t, "stop", "barbican")
	up := false
	defer func() {
		if !up {
			c.service(t, "start", "barbican")
		}
	}()
	started := make(chan error, 1)
	known := len(c.log(t, "controller"))
	go func() {
		_, problem, err := c.try(t, c.env["OE_CLOUD"], "start", "--instance", c.env["OE_INSTANCE"], "controller")
		if err != nil {
			err = fmt.Errorf("%w: %s", err, problem)
		}
		started <- err
	}()
	eventually(t, patience, func() error {
		if log := c.log(t, "controller"); !strings.Contains(log[known:], "the controller waits for them") {
			return fmt.Errorf("the log does not say so: %s", log[known:])
		}
		return nil
	})
	s.open.ask(t, "without Barbican and a controller")
	c.service(t, "start", "barbican")
	up = true
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	unharmed("after it waited for Barbican")
	s.changes(t, "after it waited for Barbican")

	c.noTraces(t)
	// The search knows what it looks for.
	if got := found([]byte(content)); len(got) == 0 {
		t.Error("keys of the database would not be found")
	}

	// Back to a file, as the documentation says.
	unmark()
	write(c.asController(t, "secret get --payload -f value -c Payload "+two))
	c.keysFrom(t, "key_file: "+file)
	pushed = s.pushed(t)
	c.restartController(t)
	unharmed("with a file again")
	s.allActive(t)
}

// nobodyElseReads checks that administrators of other projects do not.
func (c *cloud) nobodyElseReads(t *testing.T, ref string) {
	t.Helper()
	barbican, err := openstack.NewKeyManagerV1(c.octavia.ProviderClient, gophercloud.EndpointOpts{Region: c.env["OS_REGION_NAME"]})
	if err != nil {
		t.Fatal(err)
	}
	response, err := barbican.Get(t.Context(), ref+"/payload", nil, &gophercloud.RequestOpts{
		MoreHeaders: map[string]string{"Accept": "text/plain"}, KeepResponseBody: true,
	})
	if err == nil {
		_ = response.Body.Close()
	}
	if !gophercloud.ResponseCodeIs(err, http.StatusForbidden) {
		t.Errorf("somebody else reads the keys: %v", err)
	}
	if acl := c.asController(t, "acl get -f json "+ref); !regexp.MustCompile(`"Project Access":\s*false`).MatchString(acl) {
		t.Errorf("the ACL is %s", acl)
	}
}
