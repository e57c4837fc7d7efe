package wire_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// TestDecodeOctavia decodes what octavia-lib's to_dict made of rows of a real Octavia 19.
func TestDecodeOctavia(t *testing.T) {
	data, err := os.ReadFile("testdata/loadbalancer.json")
	require.NoError(t, err)
	lb, err := wire.Decode(data)
	require.NoError(t, err)

	// encoding/json is lenient, and right where the input is.
	want := new(model.LoadBalancer)
	require.NoError(t, json.Unmarshal(data, want))
	want.VIPSGIDs = []string{}
	assert.Equal(t, want, lb)
	assert.Equal(t, 1, lb.Pools[0].Members[0].Weight)
	assert.Equal(t, "GET", lb.Pools[0].HealthMonitor.HTTPMethod, "null takes Octavia's default")
}

func TestDecodeDefaults(t *testing.T) {
	lb, err := wire.Decode([]byte(`{"loadbalancer_id": "x", "admin_state_up": null,
		"listeners": [{"connection_limit": null}], "pools": [{"members": [{"weight": 0}, {}], "healthmonitor": {}}]}`))
	require.NoError(t, err)
	assert.True(t, lb.AdminStateUp)
	assert.Equal(t, model.UnlimitedConnections, lb.Listeners[0].ConnectionLimit)
	assert.Equal(t, model.DefaultTimeoutMemberConnect, lb.Listeners[0].TimeoutMemberConnect)
	assert.Equal(t, 0, lb.Pools[0].Members[0].Weight)
	assert.Equal(t, model.DefaultMemberWeight, lb.Pools[0].Members[1].Weight)
	assert.Equal(t, 3, lb.Pools[0].HealthMonitor.MaxRetriesDown)
}

func TestDecodeProblems(t *testing.T) {
	deep := strings.Repeat(`{"a":`, wire.MaxDepth+1) + "1" + strings.Repeat("}", wire.MaxDepth+1)
	tests := map[string]struct{ body, want string }{
		"empty":         {" \n", "the body is empty, want a JSON object"},
		"syntax":        {"{\n \"name\": secret}", "the body is not valid JSON: line 2, column 10"},
		"cut off":       {`{"name": "a`, "the body is not valid JSON: line 1, column 11"},
		"two values":    {`{} {}`, "the body is not valid JSON: line 1, column 4"},
		"array":         {`[]`, "must be a JSON object, not an array"},
		"null":          {`null`, "must be a JSON object, not null"},
		"not UTF-8":     {"{\"name\": \"\xff\"}", "the body is not UTF-8"},
		"typo":          {`{"pools":[{"members":[{},{},{"wieght":1}]}]}`, "pools[0].members[2].wieght: unknown field, did you mean weight?"},
		"far":           {`{"listeners":[{"frobnicate":{"a":[1,{"b":2}]}}]}`, "listeners[0].frobnicate: unknown field"},
		"go name":       {`{"VIPAddress": "10.0.0.1"}`, "VIPAddress: unknown field, did you mean vip_address?"},
		"case":          {`{"Name": "a"}`, "Name: unknown field, did you mean name?"},
		"odd key":       {"{\"a\\nb\": 1}", `"a\nb": unknown field`},
		"duplicate":     {`{"name": "a", "name": "b"}`, "name: comes twice in one object"},
		"duplicate map": {`{"flavor": {"a": 1, "a": 2}}`, "flavor.a: comes twice in one object"},
		"string":        {`{"name": 5}`, "name: must be a string, not a number"},
		"bool":          {`{"admin_state_up": "true"}`, "admin_state_up: must be true or false, not a string"},
		"number":        {`{"listeners":[{"protocol_port":"80"}]}`, "listeners[0].protocol_port: must be a whole number, not a string"},
		"fraction":      {`{"listeners":[{"protocol_port":80.5}]}`, "listeners[0].protocol_port: must be a whole number between -2147483648 and 2147483647"},
		"overflow":      {`{"listeners":[{"protocol_port":4294967376}]}`, "listeners[0].protocol_port: must be a whole number between -2147483648 and 2147483647"},
		"float":         {`{"pools":[{"healthmonitor":{"http_version":"1.1"}}]}`, "pools[0].healthmonitor.http_version: must be a number, not a string"},
		"big float":     {`{"pools":[{"healthmonitor":{"http_version":1e999}}]}`, "pools[0].healthmonitor.http_version: is a number out of range"},
		"object":        {`{"pools":[{"healthmonitor":[1,[2]]}]}`, "pools[0].healthmonitor: must be an object, not an array"},
		"list":          {`{"pools":{"a":1}}`, "pools: must be an array, not an object"},
		"element":       {`{"pools":["a"]}`, "pools[0]: must be an object, not a string"},
		"null element":  {`{"pools":[null]}`, "pools[0]: must not be null"},
		"map value":     {`{"listeners":[{"insert_headers":{"X-Forwarded-For":true}}]}`, "listeners[0].insert_headers.X-Forwarded-For: must be a string, not a boolean"},
		"deep":          {`{"flavor":` + deep + `}`, "flavor" + strings.Repeat(".a", wire.MaxDepth-1) + ": nested deeper than 16 levels"},
		"several":       {`{"naem":"a","name":1,"vip_port_id":[]}`, "naem: unknown field, did you mean name?; name: must be a string, not a number; vip_port_id: must be a string, not an array"},
		"policy rule":   {`{"listeners":[{"l7policies":[{"rules":[{"vlaue":"x"}]}]}]}`, "listeners[0].l7policies[0].rules[0].vlaue: unknown field, did you mean value?"},
		"too large":     {strings.Repeat(" ", wire.MaxBytes) + "{}", "the body is larger than the limit of 8 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := wire.Decode([]byte(test.body))
			problem := new(wire.Error)
			require.ErrorAs(t, err, &problem)
			assert.EqualError(t, err, test.want)
			assert.Equal(t, name == "too large", problem.TooLarge)
		})
	}
}

func TestDecodeProblemLimit(t *testing.T) {
	var body strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&body, `,"x%d":0`, i)
	}
	_, err := wire.Decode([]byte("{" + body.String()[1:] + "}"))
	problem := new(wire.Error)
	require.ErrorAs(t, err, &problem)
	assert.Len(t, problem.Problems, wire.MaxProblems)
}

func TestDecodeTLSContainer(t *testing.T) {
	lb, err := wire.Decode([]byte(`{"listeners":[{"sni_container_data":[{"id":"ab","primary_cn":null,"certificate":"C",
		"private_key":"K","passphrase":null,"intermediates":["I"]}],"client_ca_tls_container_data":"PEM"}],
		"pools":[{"tls_container_data":{"private_key":"P"}}]}`))
	require.NoError(t, err)
	want := model.TLSContainer{ID: "ab", Certificate: "C", PrivateKey: "K", Intermediates: []string{"I"}}
	assert.Equal(t, &want, lb.Listeners[0].SNIContainers[0])
	assert.Equal(t, model.PEM("PEM"), lb.Listeners[0].ClientCATLSContainer)
	assert.Equal(t, "P", lb.Pools[0].TLSContainer.PrivateKey)
}

// TestSecretsStayOut breaks a body that holds a key in every way and looks for the key in what is said about it.
func TestSecretsStayOut(t *testing.T) {
	const secret = "MIIEvQIBADANBgkq"
	tests := map[string]struct{ container, want string }{
		"value":        {`{"private_key": {"` + secret + `": 1}}`, "default_tls_container_data.private_key: must be a string, not an object"},
		"key":          {`{"` + secret + `": 1}`, "default_tls_container_data: has an unknown field; known are certificate, id, intermediates, passphrase, primary_cn, private_key"},
		"typo":         {`{"privatekey": "` + secret + `"}`, "default_tls_container_data: has an unknown field; known are certificate, id, intermediates, passphrase, primary_cn, private_key"},
		"string":       {`"` + secret + `"`, "default_tls_container_data: must be an object, not a string"},
		"intermediate": {`{"intermediates": [{"` + secret + `": "` + secret + `"}]}`, "default_tls_container_data.intermediates[0]: must be a string, not an object"},
		"syntax":       {`{"private_key": ` + secret + `}`, "the body is not valid JSON: line 1, column 48"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := wire.Object([]byte(`{"default_tls_container_data": `+test.container+`}`), new(model.Listener))
			assert.EqualError(t, err, test.want)
			assert.NotContains(t, err.Error(), secret)
		})
	}
}

func TestMerge(t *testing.T) {
	existing := model.Listener{
		ID: "l", Name: "old", Protocol: model.ProtocolHTTP, ProtocolPort: 80, TimeoutClientData: 7, TimeoutMemberData: 8,
		DefaultPoolID: "p", AllowedCIDRs: []string{"10.0.0.0/8"}, AdminStateUp: false,
		DefaultTLSContainer: &model.TLSContainer{PrivateKey: "K"},
	}
	merged, keys, err := wire.Merge(existing, []byte(`{"name":"new","timeout_client_data":null,
		"allowed_cidrs":["192.0.2.0/24"],"default_pool_id":null}`))
	require.NoError(t, err)
	assert.Equal(t, []string{"name", "timeout_client_data", "allowed_cidrs", "default_pool_id"}, keys)
	want := existing
	want.Name, want.TimeoutClientData, want.DefaultPoolID = "new", model.DefaultTimeoutClientData, ""
	want.AllowedCIDRs = []string{"192.0.2.0/24"}
	assert.Equal(t, want, merged)
	assert.Equal(t, []string{"10.0.0.0/8"}, existing.AllowedCIDRs)
}

func TestMergeInner(t *testing.T) {
	inner := &model.SessionPersistence{Type: "APP_COOKIE", CookieName: "old", PersistenceTimeout: 3}
	existing := model.Pool{SessionPersistence: inner}
	merged, _, err := wire.Merge(existing, []byte(`{"session_persistence":{"cookie_name":"new","persistence_timeout":null}}`))
	require.NoError(t, err)
	assert.Equal(t, &model.SessionPersistence{Type: "APP_COOKIE", CookieName: "new"}, merged.SessionPersistence)
	assert.Equal(t, "old", inner.CookieName, "existing is not touched")

	merged, _, err = wire.Merge(existing, []byte(`{"session_persistence":null}`))
	require.NoError(t, err)
	assert.Nil(t, merged.SessionPersistence)
}

func TestMergeIsStrict(t *testing.T) {
	_, _, err := wire.Merge(model.Member{}, []byte(`{"wieght":3}`))
	assert.EqualError(t, err, "wieght: unknown field, did you mean weight?")
}

// FuzzDecode feeds anything: it answers with a tree or a problem, and what it takes, encoding/json takes too.
func FuzzDecode(f *testing.F) {
	if data, err := os.ReadFile("testdata/loadbalancer.json"); err == nil {
		f.Add(data)
	}
	for _, seed := range []string{
		"", "{}", "null", "[]", `{"listeners":[{"insert_headers":{"a":"b"}}]}`, `{"flavor":{"a":[1,{"b":null}]}}`,
		`{"availability_zone":"nova"}`, `{"pools":[{"tls_container_data":{"private_key":"k"}}]}`, `{"name":"\ud800"}`,
		`{"name":1e400}`, strings.Repeat(`{"flavor":`, 50), `{"pools":[null]}`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lb, err := wire.Decode(data)
		if err != nil {
			problem := new(wire.Error)
			if !assert.ErrorAs(t, err, &problem) || len(problem.Problems) == 0 {
				t.Fatalf("error without a problem: %v", err)
			}
		} else if err := json.Unmarshal(data, new(model.LoadBalancer)); err != nil {
			t.Fatalf("decoded %+v, but encoding/json says %v", lb, err)
		}
		_, _, _ = wire.Merge(model.Pool{SessionPersistence: &model.SessionPersistence{}}, data)
	})
}
