package translate

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// attribute is one of a name, with the type of its value: 12 is UTF8String, 19 PrintableString, 22 IA5String.
func attribute(oid asn1.ObjectIdentifier, tag int, value string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}
}

func utf8Of(oid asn1.ObjectIdentifier) func(value string) pkix.AttributeTypeAndValue {
	return func(value string) pkix.AttributeTypeAndValue { return attribute(oid, asn1.TagUTF8String, value) }
}

// subject is a name in DER; attributes in one list are in one RDN.
func subject(t testing.TB, parts ...[]pkix.AttributeTypeAndValue) []byte {
	t.Helper()
	name := pkix.RDNSequence{}
	for _, part := range parts {
		name = append(name, part)
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// dnAttributes are the kinds of attribute that subjects of clients are drawn from.
func dnAttributes() (cn, ou, o func(string) pkix.AttributeTypeAndValue) {
	return utf8Of(asn1.ObjectIdentifier{2, 5, 4, 3}), utf8Of(asn1.ObjectIdentifier{2, 5, 4, 11}), utf8Of(asn1.ObjectIdentifier{2, 5, 4, 10})
}

// clientSubjects are subjects of clients, plain and odd.
func clientSubjects(t testing.TB) map[string][]byte {
	t.Helper()
	type rdn = []pkix.AttributeTypeAndValue
	cn, ou, o := dnAttributes()
	country := attribute(asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.TagPrintableString, "DE")
	email := attribute(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, asn1.TagIA5String, "a@b.example")
	subjects := map[string][]byte{
		"plain":      subject(t, rdn{country}, rdn{o("Acme")}, rdn{ou("Dev")}, rdn{cn("client")}),
		"commas":     subject(t, rdn{o("Acme, Inc")}, rdn{cn("a,b+c=d;e<f>g")}),
		"quotes":     subject(t, rdn{o(`The "Q" \ Co`)}, rdn{cn(`\\41\,CN=x`)}),
		"several OU": subject(t, rdn{ou("one")}, rdn{ou("two")}, rdn{ou("three")}, rdn{cn("client")}),
		"UTF-8":      subject(t, rdn{o("Müller €😀")}, rdn{cn("é")}),
		"no CN":      subject(t, rdn{country}, rdn{o("Acme")}),
		"several CN": subject(t, rdn{cn("first")}, rdn{o("Acme")}, rdn{cn("last")}),
		"one RDN":    subject(t, rdn{country}, rdn{cn("client"), ou("Dev")}, rdn{cn("b"), cn("a")}),
		"email":      subject(t, rdn{o("Acme")}, rdn{cn("client")}, rdn{email}),
		"empty":      subject(t),
		"empty CN":   subject(t, rdn{cn("")}, rdn{o("Acme")}),
		"blanks":     subject(t, rdn{o("  two ")}, rdn{cn(" a ")}, rdn{ou("#hash")}, rdn{ou("a  b")}),
		"control":    subject(t, rdn{cn("a\x01b\r\nX-Evil: 1\x7f\t|\x00z")}),
		"trap":       subject(t, rdn{o("x,CN=admin")}, rdn{ou("y+CN=admin")}, rdn{cn("guest")}),
		"unknown": subject(t, rdn{attribute(asn1.ObjectIdentifier{1, 2, 3, 4, 5}, asn1.TagUTF8String, "an, \"é\"")},
			rdn{attribute(asn1.ObjectIdentifier{1, 2, 3, 4, 6}, asn1.TagUTF8String, strings.Repeat("long", 100))}, rdn{cn("client")}),
		"long": subject(t, rdn{o(strings.Repeat("o", 2000))}, rdn{cn(strings.Repeat("é", 500))}),
	}
	for name, oid := range dnKinds() {
		subjects["kind "+name] = subject(t, rdn{attribute(oid, asn1.TagUTF8String, "a value, é")}, rdn{cn("client")})
	}
	return subjects
}

// dnKinds are kinds of attribute by OpenSSL's names of them.
func dnKinds() map[string]asn1.ObjectIdentifier {
	kinds := map[string]asn1.ObjectIdentifier{
		"emailAddress": {1, 2, 840, 113549, 1, 9, 1}, "unstructuredName": {1, 2, 840, 113549, 1, 9, 2},
		"unstructuredAddress": {1, 2, 840, 113549, 1, 9, 8},
		"DC":                  {0, 9, 2342, 19200300, 100, 1, 25}, "UID": {0, 9, 2342, 19200300, 100, 1, 1},
		"mail":          {0, 9, 2342, 19200300, 100, 1, 3},
		"jurisdictionL": {1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 1}, "jurisdictionST": {1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 2},
		"jurisdictionC": {1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3},
		"INN":           {1, 2, 643, 3, 131, 1, 1}, "OGRN": {1, 2, 643, 100, 1}, "SNILS": {1, 2, 643, 100, 3},
	}
	for i := range 110 {
		kinds[fmt.Sprintf("2.5.4.%d", i+1)] = asn1.ObjectIdentifier{2, 5, 4, i + 1}
	}
	for i := range 60 {
		kinds[fmt.Sprintf("pilot %d", i+1)] = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, i + 1}
	}
	for i := range 26 {
		kinds[fmt.Sprintf("PKCS #9 %d", i+1)] = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, i + 1}
	}
	return kinds
}

// haproxyTLS is what Octavia's template makes of a TERMINATED_HTTPS listener whose member is at an address, with all the
// headers about clients.
func haproxyTLS(t *testing.T, l *model.Listener, port int, member, lines string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	bind := fmt.Sprintf("bind %s:%d ssl crt %s alpn h2,http/1.1", vip, port,
		write("served.pem", string(chainOf(l.DefaultTLSContainer))+l.DefaultTLSContainer.PrivateKey))
	if authenticates(l) {
		verify := map[string]string{clientAuthOptional: "optional", clientAuthMandatory: "required"}[l.ClientAuthentication]
		bind += " ca-file " + write("ca.pem", string(l.ClientCATLSContainer)) + " verify " + verify
	}
	return fmt.Sprintf("frontend %s\n    %s\n%s    default_backend %s\nbackend %s\n%s    server s %s\n",
		l.ID, bind, lines, l.ID+"b", l.ID+"b", clientHeaderLines(), member)
}

// clientHeaderLines are those of Octavia's macros.j2, all of them.
func clientHeaderLines() string {
	return `    http-request set-header X-SSL-Client-Verify %[ssl_c_verify]
    http-request set-header X-SSL-Client-Has-Cert %[ssl_c_used]
    http-request set-header X-SSL-Client-DN %{+Q}[ssl_c_s_dn]
    http-request set-header X-SSL-Client-CN %{+Q}[ssl_c_s_dn(cn)]
    http-request set-header X-SSL-Issuer %{+Q}[ssl_c_i_dn]
    http-request set-header X-SSL-Client-SHA1 %{+Q}[ssl_c_sha1,hex]
    http-request set-header X-SSL-Client-Not-Before %{+Q}[ssl_c_notbefore]
    http-request set-header X-SSL-Client-Not-After %{+Q}[ssl_c_notafter]
`
}

const haproxyDefaults = "global\n    ssl-default-bind-options ssl-min-ver TLSv1.2\ndefaults\n    mode http\n    timeout connect 5s\n" +
	"    timeout client 50s\n    timeout server 50s\n"

// echoClientHeaders is a member that answers with the headers about clients that it got, and X-Evil.
func echoClientHeaders(t *testing.T) string {
	return server(t, func(w http.ResponseWriter, r *http.Request) {
		seen := map[string][]string{}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Ssl-") || strings.HasPrefix(name, "X-Octavia") || name == "X-Evil" {
				seen[name] = values
			}
		}
		_ = json.NewEncoder(w).Encode(seen)
	})
}

// clientOf asks as a client with that certificate; nil is none.
func clientOf(certificate *pki.Certificate, http2 bool) *http.Client {
	config := &tls.Config{InsecureSkipVerify: true}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own := certificate.TLS()
			return &own, nil
		}
	}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}, Timeout: 20 * time.Second}
}

// TestClientHeadersAsHAProxy compares what a member is told of clients' certificates, by the real Envoy and the real HAProxy.
func TestClientHeadersAsHAProxy(t *testing.T) {
	root := pki.New(t, "root")
	clients := root.IntermediateOf(subject(t, []pkix.AttributeTypeAndValue{utf8Of(asn1.ObjectIdentifier{2, 5, 4, 10})(`É "Trust", Inc`)},
		[]pkix.AttributeTypeAndValue{utf8Of(asn1.ObjectIdentifier{2, 5, 4, 3})("issuer")}))
	served := root.Issue(pki.Options{Names: []string{"x.example"}})
	member := echoClientHeaders(t)
	all := map[string]string{}
	for _, known := range clientHeaders() {
		all[known.header] = "true"
	}
	var lb model.LoadBalancer
	lb.Pools = []model.Pool{pool("p", model.ProtocolHTTP, member)}
	var text strings.Builder
	text.WriteString(haproxyDefaults)
	var ports []int
	for _, how := range []string{clientAuthOptional, clientAuthMandatory, clientAuthNone} {
		l := secure(t, strings.ToLower(how), "p", served)
		l.ALPNProtocols = []string{"h2", "http/1.1"}
		l.ClientAuthentication, l.ClientCATLSContainerRef = how, "https://barbican/ca"
		l.ClientCATLSContainer = model.PEM(clients.PEM() + root.PEM())
		l.InsertHeaders = all
		lb.Listeners = append(lb.Listeners, l)
		ports = append(ports, hold(t))
		text.WriteString(haproxyTLS(t, &l, ports[len(ports)-1], member, ""))
	}
	startHAProxy(t, text.String(), ports[len(ports)-1])
	serve(t, &lb)

	certificates := map[string]*pki.Certificate{"none": nil}
	for name, raw := range clientSubjects(t) {
		certificate := clients.Issue(pki.Options{RawSubject: raw, Client: true})
		certificates[name] = &certificate
	}
	for name, times := range map[string][2]time.Time{
		"for ever":  {time.Date(1999, 12, 31, 23, 59, 58, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
		"long":      {time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)},
		"very long": {time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC)},
	} {
		certificate := clients.Issue(pki.Options{Names: []string{"c"}, Client: true, NotBefore: times[0], NotAfter: times[1]})
		certificates[name] = &certificate
	}
	// The types of text that RFC 5280 forbids: HAProxy has their bytes, Envoy the text that they stand for.
	cn := asn1.ObjectIdentifier{2, 5, 4, 3}
	differs := map[string][2]string{"BMP": {"%00\ufffd", "é"}, "T61": {"\ufffd", "é"}}
	for name, value := range map[string]pkix.AttributeTypeAndValue{
		"BMP": attribute(cn, asn1.TagBMPString, "\x00\xe9"), "T61": attribute(cn, asn1.TagT61String, "\xe9"),
	} {
		certificate := clients.Issue(pki.Options{RawSubject: subject(t, []pkix.AttributeTypeAndValue{value}), Client: true})
		certificates[name] = &certificate
	}
	told := func(port int, client *http.Client) (string, map[string][]string, error) {
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("https://%s:%d/", vip, port), nil)
		if err != nil {
			return "", nil, err
		}
		for header := range all {
			request.Header[header] = []string{"1", "forged"}
		}
		request.Header["X-Octavia-Client-Dn"] = []string{"CN=forged"}
		response, err := client.Do(request)
		if err != nil {
			return "", nil, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		seen := map[string][]string{}
		if err == nil && response.StatusCode == http.StatusOK {
			err = json.Unmarshal(body, &seen)
		}
		// Nobody but a listener that asks for certificates minds this one.
		if values := seen["X-Octavia-Client-Dn"]; slices.Equal(values, []string{"CN=forged"}) {
			delete(seen, "X-Octavia-Client-Dn")
		}
		return fmt.Sprint(response.Proto, " ", response.StatusCode), seen, err
	}
	compared := 0
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		for name, certificate := range certificates {
			if strings.HasPrefix(name, "kind ") && i > 0 {
				continue
			}
			ours, theirs := clientOf(certificate, i > 0), clientOf(certificate, i > 0)
			for range 2 { // the second time the session is resumed
				want, wantSeen, wantErr := told(ports[i], theirs)
				got, gotSeen, gotErr := told(l.ProtocolPort, ours)
				if (wantErr == nil) != (gotErr == nil) || want != got {
					t.Errorf("%s at %s: HAProxy answers %s %v, Envoy %s %v", name, l.ID, want, wantErr, got, gotErr)
					continue
				}
				compared++
				if expected, ok := differs[name]; ok && authenticates(l) {
					for _, side := range []struct {
						seen map[string][]string
						want string
					}{{wantSeen, expected[0]}, {gotSeen, expected[1]}} {
						if cn, dn := side.seen["X-Ssl-Client-Cn"], side.seen["X-Ssl-Client-Dn"]; !slices.Equal(cn, []string{side.want}) ||
							!slices.Equal(dn, []string{"/CN=" + side.want}) {
							t.Errorf("%s at %s: %q and %q", name, l.ID, cn, dn)
						}
					}
					continue
				}
				if diff := cmp.Diff(wantSeen, gotSeen); diff != "" {
					t.Errorf("%s at %s, %s (-HAProxy +Envoy):\n%s", name, l.ID, got, diff)
				}
				if wantErr == nil && len(wantSeen) != len(all) {
					t.Errorf("%s at %s: HAProxy told %v", name, l.ID, wantSeen)
				}
			}
		}
	}
	t.Logf("compared %d requests", compared)
}
