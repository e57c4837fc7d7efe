package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// clinic is a pool with a monitor, whose patients are named by how they will be ill: of each one.
type clinic struct {
	kind, protocol, speaks string
	monitor                fields
	illnesses              []string
	// ask is a client of the listener, and returns the name of the member that served it.
	ask      func(t *testing.T) (string, error)
	patients map[string]*patient
}

// TestAilingMembers has members die, hang, answer checks with what is wrong, and recover, under monitors of every type: clients
// meet no other than those that are well, and Octavia says which are not.
func TestAilingMembers(t *testing.T) {
	t.Parallel()
	c := shared
	certificate := pki.New(t, "e2e ailing").Issue(pki.Options{Names: []string{"www.example.com"}})
	server := &tls.Config{Certificates: []tls.Certificate{certificate.TLS()}, MinVersion: tls.VersionTLS12}
	clear := c.client(t)
	// Members' certificates are their own affair.
	encrypted := c.tlsClient(t, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	codes := fields{"url_path": checkPath, "expected_codes": "200-204"}
	clinics := []*clinic{
		{kind: "HTTP", protocol: "HTTP", speaks: "http", monitor: codes, illnesses: []string{"dead", "mute", "liar"}},
		{kind: "HTTPS", protocol: "HTTPS", speaks: "https", monitor: codes, illnesses: []string{"dead", "mute", "liar"}},
		{kind: "TCP", protocol: "TCP", speaks: "tcp", illnesses: []string{"dead", "unreachable"}},
		{kind: "TLS-HELLO", protocol: "HTTPS", speaks: "https", illnesses: []string{"dead", "mute", "liar"}},
		{kind: "PING", protocol: "TCP", speaks: "tcp", illnesses: []string{"unreachable"}},
		// The shortest delay that Octavia allows to this one.
		{kind: "UDP-CONNECT", protocol: "UDP", speaks: "udp", monitor: fields{"delay": 3, "max_retries_down": 1, "max_retries": 1}, illnesses: []string{"dead"}},
	}
	w := c.ward(t, 31, 19)
	var listeners, pools []fields
	var unreachable []string
	free := w.addresses
	for i, k := range clinics {
		k.patients = map[string]*patient{}
		var members []fields
		for _, name := range append(slices.Clone(k.illnesses), "well") {
			p := &patient{name: k.kind + "/" + name, address: free[0], speaks: strings.TrimSuffix(k.speaks, "s"), plain: k.kind == "TLS-HELLO"}
			if free = free[1:]; k.speaks == "https" {
				p.encrypted = server
			}
			if name == "unreachable" {
				rule := "ip daddr " + p.address
				if k.kind == "PING" {
					rule += " icmp type echo-request" // clients would reach it
				}
				unreachable = append(unreachable, rule)
			}
			k.patients[name] = w.admit(t, p)
			members = append(members, p.member(fields{"name": name}))
		}
		listeners = append(listeners, listener(k.kind, k.protocol, 9000+i, k.kind))
		pools = append(pools, pool(k.kind, k.protocol, members, fields{"healthmonitor": with(fields{
			"name": k.kind, "type": k.kind, "delay": 1, "timeout": 1, "max_retries": 2, "max_retries_down": 3,
		}, k.monitor)}))
	}
	s := c.populate(t, "e2e-ailing", listeners, pools)
	good, bad := map[string]string{"lb": "ONLINE"}, map[string]string{"lb": "DEGRADED"}
	for i, k := range clinics {
		address := s.at(9000 + i)
		k.ask = map[string]func(*testing.T) (string, error){
			"http":  func(t *testing.T) (string, error) { return served(t, clear, "http://"+address) },
			"https": func(t *testing.T) (string, error) { return served(t, encrypted, "https://"+address) },
			"tcp":   func(t *testing.T) (string, error) { return greet(t, c.mustDial(t, "", "tcp", address)), nil },
			"udp": func(t *testing.T) (string, error) {
				member, _ := tell(t, c.mustDial(t, "", "udp", address))
				return member, nil
			},
		}[k.speaks]
		good["pool "+k.kind], bad["pool "+k.kind] = "ONLINE", "DEGRADED"
		for name := range k.patients {
			member := "member " + k.kind + "/" + name
			if good[member], bad[member] = "ONLINE", "ERROR"; name == "well" {
				bad[member] = "ONLINE"
			}
		}
	}
	s.become(t, "all are well", good)
	for _, k := range clinics {
		k.meetsAll(t)
	}

	for _, k := range clinics {
		for name, state := range map[string]int32{"dead": dead, "mute": mute, "liar": liar} {
			if p := k.patients[name]; p != nil {
				p.becomes(t, state)
			}
		}
	}
	w.drop(t, unreachable...)
	s.become(t, "most are ill", bad)
	for _, k := range clinics {
		for range 12 {
			if name, err := k.ask(t); err != nil || name != k.patients["well"].name {
				t.Errorf("%s: served by %q, error %v", k.kind, name, err)
			}
		}
	}

	for _, k := range clinics {
		for _, p := range k.patients {
			p.becomes(t, well)
		}
	}
	w.dropNothing(t)
	s.become(t, "all are well again", good)
	for _, k := range clinics {
		k.meetsAll(t)
	}
	s.allActive(t)
}

// meetsAll asks until each of the members has served; none may fail.
func (k *clinic) meetsAll(t *testing.T) {
	t.Helper()
	met := map[string]bool{}
	eventually(t, patience, func() error {
		for range 2 * len(k.patients) {
			name, err := k.ask(t)
			if err != nil {
				t.Errorf("%s: %v", k.kind, err)
			}
			met[name] = true
		}
		if len(met) < len(k.patients) {
			return fmt.Errorf("%s: of %d members, clients meet %v", k.kind, len(k.patients), slices.Sorted(maps.Keys(met)))
		}
		return nil
	})
}

// served asks once and returns the name of the member that answered.
func served(t *testing.T, client *http.Client, url string) (string, error) {
	t.Helper()
	response, _, err := tryAsk(t, client, url)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", errors.New(response.Status)
	}
	return response.Header.Get("Server-Name"), nil
}
