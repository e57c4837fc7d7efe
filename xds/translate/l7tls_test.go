package translate

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// TestTLSRulesAsHAProxy is TestL7AsHAProxy for rules about the certificates of clients.
func TestTLSRulesAsHAProxy(t *testing.T) {
	root := pki.New(t, "root")
	clients := root.Intermediate("clients")
	served := root.Issue(pki.Options{Names: []string{"x.example"}})
	member := server(t, func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Octavia") && r.Header.Get(name) != "CN=client" {
				_, _ = io.WriteString(w, "the member sees "+name)
			}
		}
		_, _ = io.WriteString(w, "let in")
	})
	draw := &l7Draw{rand.New(rand.NewPCG(*l7Seed, 11))}
	lb := &model.LoadBalancer{Pools: []model.Pool{pool("p", model.ProtocolHTTP, member)}}
	var ports []int
	var text strings.Builder
	text.WriteString(haproxyDefaults)
	const listeners = 90
	for i := range listeners {
		l := secure(t, fmt.Sprintf("l%d", i), "p", served)
		l.ALPNProtocols = []string{"h2", "http/1.1"}
		l.ClientAuthentication = []string{clientAuthOptional, clientAuthOptional, clientAuthMandatory, clientAuthNone}[i%4]
		l.ClientCATLSContainerRef, l.ClientCATLSContainer = "https://barbican/ca", model.PEM(clients.PEM()+root.PEM())
		l.L7Policies = draw.tlsPolicies(l.ID)
		lb.Listeners = append(lb.Listeners, l)
		ports = append(ports, hold(t))
		text.WriteString(haproxyTLS(t, &l, ports[i], member, l7Lines(&l)))
	}
	startHAProxy(t, text.String(), ports[listeners-1])
	serve(t, lb)

	certificates := []*pki.Certificate{nil}
	for _, raw := range draw.subjects(t) {
		certificate := clients.Issue(pki.Options{RawSubject: raw, Client: true})
		certificates = append(certificates, &certificate)
	}
	ask := func(port int, certificate *pki.Certificate, http2 bool) string {
		client := clientOf(certificate, http2)
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("https://%s:%d/", vip, port), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header["X-Octavia-Client-Dn"] = []string{"CN=client"}
		response, err := client.Do(request)
		if err != nil {
			return "no answer"
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return fmt.Sprint(response.StatusCode, " ", response.Proto, " ", string(body))
	}
	outcomes := map[string]int{}
	for i := range lb.Listeners {
		for j := range 14 {
			certificate, http2 := certificates[draw.IntN(len(certificates))], draw.IntN(2) == 0
			if j == 0 {
				certificate = nil
			}
			want, got := ask(ports[i], certificate, http2), ask(lb.Listeners[i].ProtocolPort, certificate, http2)
			outcomes[strings.Fields(want)[0]]++
			if want != got {
				who := "nobody"
				if certificate != nil {
					who = certificate.Leaf.Subject.String()
				}
				t.Errorf("%s at %s, %s\nHAProxy: %s\nEnvoy:   %s\n%s", who, lb.Listeners[i].ID, lb.Listeners[i].ClientAuthentication, want, got,
					l7Lines(&lb.Listeners[i]))
			}
		}
	}
	t.Logf("answers: %v", outcomes)
	for _, status := range []string{"200", "403", "no"} {
		if outcomes[status] < 20 {
			t.Errorf("only %d answers were %s: the draw is too narrow", outcomes[status], status)
		}
	}
}

func (d *l7Draw) tlsPolicies(listener string) []model.L7Policy {
	policies := make([]model.L7Policy, 1+d.IntN(2))
	for i := range policies {
		policies[i] = model.L7Policy{ID: fmt.Sprintf("%sp%d", listener, i), AdminStateUp: true, Position: i + 1, Action: model.L7ActionReject}
		for j := range 1 + d.IntN(2) {
			policies[i].Rules = append(policies[i].Rules, d.tlsRule(fmt.Sprintf("%sr%d", policies[i].ID, j)))
		}
	}
	return policies
}

func (d *l7Draw) tlsRule(id string) model.L7Rule {
	rule := model.L7Rule{ID: id, AdminStateUp: true, Invert: d.IntN(3) == 0, CompareType: model.L7CompareEqualTo}
	switch d.IntN(8) {
	case 0:
		rule.Type, rule.Value = model.L7TypeSSLConnHasCert, d.of("True", "true")
	case 1:
		rule.Type, rule.Value = model.L7TypeSSLVerifyResult, d.of("0", "0", "1", "10", "00", "23")
	default:
		rule.Type, rule.Key = model.L7TypeSSLDNField, d.of("CN", "cn", "O", "OU", "emailAddress", "ST", "L", "serialNumber", "DC")
		rule.CompareType = d.of(model.L7CompareRegex, model.L7CompareRegex, model.L7CompareStartsWith, model.L7CompareEndsWith, model.L7CompareContains,
			model.L7CompareEqualTo, model.L7CompareEqualTo)
		if rule.CompareType == model.L7CompareRegex {
			rule.Value = d.of("client", "^client$", "[a-c]", "^Ac.e", "Inc$", `\.`, "é", "^.{3}$", `^[^,]*$`, ",", `\\`, "(?i)CLIENT", "a|b", "^a|c$", "^$",
				".*", `"`, "[ #]", "^#", " $", `[\x80-\xff]`, "CN=", `^\d+$`, `\W`,
				"^.{0,255}$", "(?:[^a]{20}){25}")
		} else {
			rule.Value = d.of("client", "c", "t", "Acme", "Acme, Inc", ", Inc", "Inc", "é", "a", "CN=client", ",CN=client", `\`, `"`, "#", "+", `a "b" c`, `\,`, "C3", "A9", "=")
		}
	}
	return rule
}

// subjects are those of clientSubjects that rules are about, and more of the same.
func (d *l7Draw) subjects(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	known := clientSubjects(t)
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !strings.HasPrefix(name, "kind ") {
			all = append(all, known[name])
		}
	}
	kinds := dnKinds()
	oids := []asn1.ObjectIdentifier{
		{2, 5, 4, 3}, {2, 5, 4, 3}, {2, 5, 4, 10}, {2, 5, 4, 11}, {2, 5, 4, 8}, {2, 5, 4, 7}, {2, 5, 4, 5}, kinds["emailAddress"], kinds["DC"], {1, 2, 3, 4},
	}
	for range 60 {
		var rdns [][]pkix.AttributeTypeAndValue
		for range 1 + d.IntN(4) {
			var rdn []pkix.AttributeTypeAndValue
			for range 1 + d.IntN(2) {
				value := d.of("client", "client", "Acme, Inc", "Acme", "a", "b", "c", `a "b" c`, `\`, "é", "x,CN=client", "#1", " a ", "a+b", "123", "C3", "A;c")
				rdn = append(rdn, utf8Of(oids[d.IntN(len(oids))])(value))
			}
			rdns = append(rdns, rdn)
		}
		all = append(all, subject(t, rdns...))
	}
	return all
}

// TestTLSRulesThatNeverHold: what no client can be leaves no route, and what all are no matcher.
func TestTLSRulesThatNeverHold(t *testing.T) {
	hasCert := model.L7Rule{AdminStateUp: true, Type: model.L7TypeSSLConnHasCert, CompareType: model.L7CompareEqualTo, Value: "True"}
	verified := model.L7Rule{AdminStateUp: true, Type: model.L7TypeSSLVerifyResult, CompareType: model.L7CompareEqualTo, Value: "0"}
	field := model.L7Rule{AdminStateUp: true, Type: model.L7TypeSSLDNField, Key: "CN", CompareType: model.L7CompareEqualTo, Value: "a"}
	not := func(rule model.L7Rule) *model.L7Rule { rule.Invert = true; return &rule }
	asking := &model.Listener{
		Protocol: model.ProtocolTerminatedHTTPS, ClientAuthentication: clientAuthOptional, ClientCATLSContainerRef: "https://barbican/ca",
	}
	plain := &model.Listener{Protocol: model.ProtocolTerminatedHTTPS}
	for name, test := range map[string]struct {
		on    *model.Listener
		rules []*model.L7Rule
		want  string
	}{
		"a certificate":          {asking, []*model.L7Rule{&hasCert}, "true 0"},
		"none":                   {asking, []*model.L7Rule{not(hasCert)}, "false 0"},
		"both":                   {asking, []*model.L7Rule{&hasCert, not(hasCert)}, "never"},
		"good":                   {asking, []*model.L7Rule{&verified}, "any 0"},
		"bad":                    {asking, []*model.L7Rule{not(verified), &hasCert}, "never"},
		"field":                  {asking, []*model.L7Rule{&field, &hasCert, &verified}, "true 1"},
		"no field":               {asking, []*model.L7Rule{not(field)}, "any 1"},
		"unasked":                {plain, []*model.L7Rule{&hasCert}, "never"},
		"unasked, none":          {plain, []*model.L7Rule{not(hasCert), &verified}, "any 0"},
		"unasked, field":         {plain, []*model.L7Rule{&field}, "never"},
		"unasked, not the field": {plain, []*model.L7Rule{not(field)}, "any 0"},
	} {
		matches, err := l7Matches(test.on, test.rules)
		if err != nil {
			t.Fatal(err)
		}
		got := "never"
		if len(matches) > 0 {
			got = "any"
			if presented := matches[0].GetTlsContext().GetPresented(); presented != nil {
				got = strconv.FormatBool(presented.GetValue())
			}
			got += fmt.Sprint(" ", len(matches[0].GetHeaders()))
		}
		if got != test.want || len(matches) > 1 {
			t.Errorf("%s: %s, %d routes; want %s", name, got, len(matches), test.want)
		}
	}
}
