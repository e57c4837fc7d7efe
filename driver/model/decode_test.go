package model

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// The decoders below are the plainest that there can be: each kind decodes its own over its defaults, whose children do
// the same. They say what Decode has to make of a text.

type slowMember Member

func (m *slowMember) UnmarshalJSON(data []byte) error {
	plain := plainMember{AdminStateUp: true, Weight: 1}
	err := json.Unmarshal(data, &plain)
	*m = slowMember(plain)
	return err
}

type slowHealthMonitor HealthMonitor

func (h *slowHealthMonitor) UnmarshalJSON(data []byte) error {
	plain := plainHealthMonitor{AdminStateUp: true, MaxRetriesDown: 3, HTTPMethod: "GET", URLPath: "/", ExpectedCodes: "200"}
	err := json.Unmarshal(data, &plain)
	*h = slowHealthMonitor(plain)
	return err
}

type slowL7Rule L7Rule

func (r *slowL7Rule) UnmarshalJSON(data []byte) error {
	plain := plainL7Rule{AdminStateUp: true}
	err := json.Unmarshal(data, &plain)
	*r = slowL7Rule(plain)
	return err
}

type slowPool Pool

func (p *slowPool) UnmarshalJSON(data []byte) error {
	both := struct {
		plainPool

		Members       []slowMember       `json:"members"`
		HealthMonitor *slowHealthMonitor `json:"healthmonitor"`
	}{plainPool: plainPool{AdminStateUp: true}}
	err := json.Unmarshal(data, &both)
	*p = slowPool(both.plainPool)
	p.Members = models(both.Members, func(m *slowMember) Member { return Member(*m) })
	p.HealthMonitor = (*HealthMonitor)(both.HealthMonitor)
	return err
}

type slowL7Policy L7Policy

func (p *slowL7Policy) UnmarshalJSON(data []byte) error {
	both := struct {
		plainL7Policy

		Rules []slowL7Rule `json:"rules"`
	}{plainL7Policy: plainL7Policy{AdminStateUp: true}}
	err := json.Unmarshal(data, &both)
	*p = slowL7Policy(both.plainL7Policy)
	p.Rules = models(both.Rules, func(r *slowL7Rule) L7Rule { return L7Rule(*r) })
	return err
}

type slowListener Listener

func (l *slowListener) UnmarshalJSON(data []byte) error {
	both := struct {
		plainListener

		L7Policies []slowL7Policy `json:"l7policies"`
	}{plainListener: plainListener{
		AdminStateUp: true, ConnectionLimit: -1, TimeoutClientData: 50000, TimeoutMemberConnect: 5000, TimeoutMemberData: 50000,
	}}
	err := json.Unmarshal(data, &both)
	*l = slowListener(both.plainListener)
	l.L7Policies = models(both.L7Policies, func(p *slowL7Policy) L7Policy { return L7Policy(*p) })
	return err
}

func slowDecode(data []byte) (*LoadBalancer, error) {
	both := struct {
		plainLoadBalancer

		Listeners []slowListener `json:"listeners"`
		Pools     []slowPool     `json:"pools"`
	}{plainLoadBalancer: plainLoadBalancer{AdminStateUp: true}}
	err := json.Unmarshal(data, &both)
	lb := LoadBalancer(both.plainLoadBalancer)
	lb.Listeners = models(both.Listeners, func(l *slowListener) Listener { return Listener(*l) })
	lb.Pools = models(both.Pools, func(p *slowPool) Pool { return Pool(*p) })
	return &lb, err
}

// children are the lists and objects of each kind, by key.
func children() map[string]map[string]any {
	return map[string]map[string]any{
		"loadbalancer": object(LoadBalancer{}), "listeners": object(Listener{}), "pools": object(Pool{}), "members": object(Member{}),
		"healthmonitor": object(HealthMonitor{}), "l7policies": object(L7Policy{}), "rules": object(L7Rule{}),
	}
}

func object(value any) map[string]any {
	encoded, _ := json.Marshal(value)
	decoded := map[string]any{}
	_ = json.Unmarshal(encoded, &decoded)
	return decoded
}

// whole puts an object of a kind into a load balancer.
func whole(kind string, object any) map[string]any {
	list := func(key string, value any) map[string]any { return map[string]any{key: []any{value}} }
	switch kind {
	case "listeners", "pools":
		return list(kind, object)
	case "members":
		return list("pools", list(kind, object))
	case "healthmonitor":
		return list("pools", map[string]any{kind: object})
	case "l7policies":
		return list("listeners", list(kind, object))
	case "rules":
		return list("listeners", list("l7policies", list(kind, object)))
	}
	return object.(map[string]any)
}

// Each attribute of each kind: missing, null, and of every JSON type, which most do not take.
func TestDecode(t *testing.T) {
	values := []any{nil, false, true, 0, 7, 1.5, "", "text", []any{}, []any{"text"}, []any{nil}, map[string]any{}, map[string]any{"key": "value"}}
	seen := 0
	for kind, attributes := range children() {
		compare(t, whole(kind, map[string]any{}))
		if kind != "loadbalancer" {
			compare(t, whole(kind, nil))
		}
		for attribute := range attributes {
			for _, value := range values {
				compare(t, whole(kind, map[string]any{attribute: value}))
				seen++
			}
		}
	}
	if seen < 1000 {
		t.Errorf("only %d attributes and values", seen)
	}
}

func compare(t *testing.T, document any) {
	t.Helper()
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	want, wantErr := slowDecode(data)
	got, err := Decode(data)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: error %v, want %v", data, err, wantErr)
	}
	first, known, knownErr := DecodeKnowing(data, nil)
	if (knownErr == nil) != (wantErr == nil) {
		t.Fatalf("DecodeKnowing of %s: error %v, want %v", data, knownErr, wantErr)
	}
	if err != nil {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", data, diff)
	}
	for range 2 {
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("DecodeKnowing of %s (-want +got):\n%s", data, diff)
		}
		spoil(first) // what is decoded next is not to have any of it
		if first, known, err = DecodeKnowing(data, known); err != nil {
			t.Fatal(err)
		}
	}
	again := new(LoadBalancer)
	if err := json.Unmarshal(data, again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("json.Unmarshal of %s (-want +got):\n%s", data, diff)
	}
}

// Private keys are in no golden, and are decoded all the same.
func TestDecodeCertificates(t *testing.T) {
	document := map[string]any{"certificate": "C", "private_key": "K", "id": "1", "intermediates": []any{"I"}}
	lb, err := Decode([]byte(encode(t, whole("listeners", map[string]any{"default_tls_container_data": document, "sni_container_data": []any{document}}))))
	if err != nil {
		t.Fatal(err)
	}
	for _, container := range []*TLSContainer{lb.Listeners[0].DefaultTLSContainer, lb.Listeners[0].SNIContainers[0]} {
		if container.PrivateKey != "K" || container.Certificate != "C" || container.ID != "1" || len(container.Intermediates) != 1 {
			t.Error("the certificate is not whole")
		}
	}
}

func encode(t *testing.T, document any) string {
	t.Helper()
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func FuzzDecode(f *testing.F) {
	inputs, err := filepath.Glob("../../xds/translate/testdata/*/in.yaml")
	if err != nil || len(inputs) == 0 {
		f.Fatal("no goldens", err)
	}
	for _, input := range inputs {
		text, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		data, err := yaml.YAMLToJSON(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var document map[string]any
		if json.Unmarshal(data, &document) != nil || document == nil {
			return // not of a form that is read at all
		}
		compare(t, normal(document))
	})
}

// normal leaves out keys that encoding/json takes for another one's spelling: it is the order of the two that decides then.
func normal(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			plain := true
			for _, char := range key {
				plain = plain && (char == '_' || char >= 'a' && char <= 'z' || char >= '0' && char <= '9')
			}
			if !plain {
				delete(value, key)
				continue
			}
			value[key] = normal(item)
		}
	case []any:
		for i, item := range value {
			value[i] = normal(item)
		}
	}
	return value
}

func BenchmarkDecode(b *testing.B) {
	lb := LoadBalancer{ID: "lb", Pools: []Pool{{ID: "p"}}}
	for i := range 10_000 {
		lb.Pools[0].Members = append(lb.Pools[0].Members, Member{ID: fmt.Sprint("member-", i), Address: "192.0.2.1", ProtocolPort: 1 + i, Weight: 1})
	}
	data, err := json.Marshal(lb)
	if err != nil {
		b.Fatal(err)
	}
	_, known, err := DecodeKnowing(data, nil)
	if err != nil {
		b.Fatal(err)
	}
	knowing := func(data []byte) (*LoadBalancer, error) {
		lb, _, err := DecodeKnowing(data, known)
		return lb, err
	}
	for name, decode := range map[string]func([]byte) (*LoadBalancer, error){
		"decode": Decode, "a decoder in each kind": slowDecode, "knowing": knowing,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := decode(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
