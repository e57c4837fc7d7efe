package model

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spoil changes all that Copy says may be changed in a tree.
func spoil(lb *LoadBalancer) {
	for _, secret := range lb.Secrets() {
		secret.SetCertificate(&TLSContainer{ID: "spoilt"})
		secret.SetPEM("spoilt")
	}
	for i := range lb.Listeners {
		listener := &lb.Listeners[i]
		for j := range listener.L7Policies {
			clear(listener.L7Policies[j].Rules)
		}
		clear(listener.L7Policies)
	}
	clear(lb.Listeners)
	for i := range lb.Pools {
		pool := &lb.Pools[i]
		clear(pool.Members)
		if pool.HealthMonitor != nil {
			*pool.HealthMonitor = HealthMonitor{}
		}
	}
	clear(lb.Pools)
}

func knownTree() *LoadBalancer {
	tree := &LoadBalancer{ID: "lb", Name: `"}],\\`, Flavor: map[string]any{"members": []any{"{"}}}
	for _, id := range []string{"a", "b", "c"} {
		tree.Listeners = append(tree.Listeners, Listener{
			ID: "listener-" + id, Name: `\"`, ProtocolPort: 80, InsertHeaders: map[string]string{"X-Forwarded-For": "true"},
			L7Policies: []L7Policy{{ID: "policy-" + id, Rules: []L7Rule{{ID: "rule-" + id, Value: "[{"}, {ID: "rule2-" + id}}}},
		})
		tree.Pools = append(tree.Pools, Pool{
			ID: "pool-" + id, HealthMonitor: &HealthMonitor{ID: "monitor-" + id, Delay: 5}, SessionPersistence: &SessionPersistence{Type: "SOURCE_IP"},
			Members: []Member{{ID: "member-" + id, Weight: 1}, {ID: "member2-" + id, Name: "}", Weight: 7}},
		})
	}
	return tree
}

// Whatever changes from one text to the next, it is what a decoder makes of it that knows nothing.
func TestDecodeKnowing(t *testing.T) {
	tree := knownTree()
	data, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	_, known, err := DecodeKnowing(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*LoadBalancer){
		"nothing":                  func(*LoadBalancer) {},
		"the load balancer":        func(lb *LoadBalancer) { lb.Name = "other" },
		"a listener":               func(lb *LoadBalancer) { lb.Listeners[1].ProtocolPort = 81 },
		"a policy":                 func(lb *LoadBalancer) { lb.Listeners[1].L7Policies[0].Position = 7 },
		"a rule":                   func(lb *LoadBalancer) { lb.Listeners[2].L7Policies[0].Rules[0].Value = "other" },
		"a pool":                   func(lb *LoadBalancer) { lb.Pools[0].LBAlgorithm = "other" },
		"a member":                 func(lb *LoadBalancer) { lb.Pools[0].Members[1].Weight = 8 },
		"a monitor":                func(lb *LoadBalancer) { lb.Pools[0].HealthMonitor.Delay = 6 },
		"no monitor any more":      func(lb *LoadBalancer) { lb.Pools[0].HealthMonitor = nil },
		"no list of members":       func(lb *LoadBalancer) { lb.Pools[0].Members = nil },
		"an empty list of members": func(lb *LoadBalancer) { lb.Pools[0].Members = []Member{} },
		"members that have moved": func(lb *LoadBalancer) {
			lb.Pools[0].Members, lb.Pools[1].Members = lb.Pools[1].Members, lb.Pools[0].Members
		},
		"a member twice": func(lb *LoadBalancer) { lb.Pools[0].Members[1] = lb.Pools[0].Members[0] },
		"another order":  func(lb *LoadBalancer) { lb.Pools[0], lb.Pools[2] = lb.Pools[2], lb.Pools[0] },
		"less":           func(lb *LoadBalancer) { lb.Listeners, lb.Pools = lb.Listeners[1:], lb.Pools[:1] },
		"no lists":       func(lb *LoadBalancer) { lb.Listeners, lb.Pools = nil, []Pool{} },
	} {
		want := knownTree()
		change(want)
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, next, err := DecodeKnowing(text, known)
		if err != nil || next == nil {
			t.Fatal(what, next, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		spoil(got)
	}
	if got, _, err := DecodeKnowing(data, known); err != nil || cmp.Diff(tree, got) != "" {
		t.Errorf("what is known has changed: %v %s", err, cmp.Diff(tree, got))
	}
}

// It is not decoded again: what it is taken from shows.
func TestDecodeKnowingTakesWhatItKnows(t *testing.T) {
	data := []byte(`{"pools": [{"pool_id": "p", "members": [{"member_id": "m"}, {"member_id": "n"}]}]}`)
	_, known, err := DecodeKnowing(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	known.members[`{"member_id": "m"}`].model.Name = "known"
	lb, next, err := DecodeKnowing(bytes.Replace(data, []byte(`"n"`), []byte(`"o"`), 1), known)
	if err != nil || lb.Pools[0].Members[0].Name != "known" || lb.Pools[0].Members[1].ID != "o" {
		t.Errorf("decoded %v, %v", lb, err)
	}
	if len(next.members) != 2 || next.Size() != known.Size() {
		t.Errorf("%d members are known, in %d bytes instead of %d", len(next.members), next.Size(), known.Size())
	}
}

// Texts with keys in them are kept by nobody.
func TestKnownHasNoKeys(t *testing.T) {
	data := []byte(`{"listeners": [
		{"listener_id": "a", "default_tls_container_ref": "ref", "default_tls_container_data": {"private_key": "KEY"}},
		{"listener_id": "b", "sni_container_refs": ["ref"], "sni_container_data": [{"private_key": "KEY"}]},
		{"listener_id": "c", "default_tls_container_data": {"private_key": "KEY"}},
		{"listener_id": "d", "default_pool": {"tls_container_data": {"private_key": "KEY"}}}
	], "pools": [{"pool_id": "p", "tls_container_ref": "ref", "tls_container_data": {"private_key": "KEY"}}]}`)
	_, known, err := DecodeKnowing(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	for text := range known.listeners {
		if strings.Contains(text, "KEY") || !strings.Contains(text, `"d"`) {
			t.Errorf("kept: %s", text)
		}
	}
	if len(known.listeners) != 1 || len(known.pools) != 0 {
		t.Errorf("%d listeners, %d pools are kept", len(known.listeners), len(known.pools))
	}
}

// What is not of the form that it takes apart is the plain decoder's.
func TestDecodeKnowingOfOddTexts(t *testing.T) {
	for _, text := range []string{
		``, ` `, `{`, `{"pools":`, `{"pools":[`, `{"pools":[{`, `{"pools":[{}`, `{"pools":[{}]`, `{"pools":[{}]}x`, `{"pools":[{}],}`, `{"pools":[{},]}`,
		`{"pools":[{}{}]}`, `{"pools":[null]}`, `{"pools":[7]}`, `{"pools":{}}`, `{"pools":null}`, `{"pools":[{"members":null}]}`, `{"pools":[{"members":[[]]}]}`,
		`{"pools":[{"members":[{"weight":"x"}]}]}`, `{"pools":[{"members":[{"weight":1]}]}`, `{"pools":[{"members":[{"name":"\\"}]}]}`, `{"a":1}}`, `null`, `[]`, `"a"`, `7`,
		`{"pools":[{"pool_id":"a"}],"pools":[{"pool_id":"b"}]}`, `{"pools":[{"pool_id":"a"}],"pools":null}`, `{"pools":null,"pools":[{"pool_id":"a"}]}`,
		`{"pools":[{"pool_id":"a"}],"Pools":[{"pool_id":"b"}]}`, `{"p\u006fols":[{"pool_id":"b"}]}`, `{"name":"\"}`, `{"name":"\\\""}`, `{"name":}`, `{"name"}`, `{"name" "a"}`,
		`{"name":"a" "b"}`, `{"name":tru}`, "{\"pools\": [ { \"members\" : [ ] } ] }\n", `{"listeners":[{"default_pool":{"members":[{}]}}]}`,
		"\x00{}", "{}\x00", "{\x00}",
	} {
		want, wantErr := Decode([]byte(text))
		got, _, err := DecodeKnowing([]byte(text), nil)
		if (err == nil) != (wantErr == nil) || cmp.Diff(want, got) != "" {
			t.Errorf("%q: %v, %v; want %v, %v", text, got, err, want, wantErr)
		}
	}
}

// No bytes make it panic, or read something else than the plain decoder.
func FuzzDecodeKnowing(f *testing.F) {
	data, err := json.Marshal(knownTree())
	if err != nil {
		f.Fatal(err)
	}
	_, known, err := DecodeKnowing(data, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, _, err := DecodeKnowing(data, known)
		want, wantErr := Decode(data)
		if wantErr == nil && (err != nil || cmp.Diff(want, got) != "") {
			t.Errorf("%q: %v\n%s", data, err, cmp.Diff(want, got))
		}
		if wantErr != nil && err == nil && !bytes.Contains(data, []byte("_pool\"")) {
			t.Errorf("%q is read, and is %v", data, wantErr)
		}
	})
}
