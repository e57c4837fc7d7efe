package parity

import (
	"maps"
	"slices"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// clientHeaders are those of insert_headers about the client's certificate.
func clientHeaders() []string {
	return []string{
		"X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN", "X-SSL-Client-CN", "X-SSL-Issuer", "X-SSL-Client-SHA1",
		"X-SSL-Client-Not-Before", "X-SSL-Client-Not-After",
	}
}

// readsHTTP reports whether a listener sees requests.
func readsHTTP(l *model.Listener) bool {
	return l.Protocol == model.ProtocolHTTP || l.Protocol == model.ProtocolTerminatedHTTPS
}

// octaviaCiphers is default_listener_ciphers of Octavia, and default_pool_ciphers.
const octaviaCiphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:" +
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" +
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:" +
	"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305"

// tlsParameters are versions, ciphers and protocols, most of the time what octavia-api fills in.
func (g *generator) tlsParameters() (versions []string, ciphers string, protocols []string) {
	versions, ciphers, protocols = []string{"TLSv1.2", "TLSv1.3"}, octaviaCiphers, []string{"h2", "http/1.1", "http/1.0"}
	if g.chance(20) {
		versions = pick(g, []string{"TLSv1.2"}, []string{"TLSv1.3"}, []string{"TLSv1.3", "TLSv1.2"}, []string{"TLSv1.1", "TLSv1.2", "TLSv1.3"},
			[]string{"TLSv1", "TLSv1.1", "TLSv1.2"})
	}
	if g.chance(20) {
		ciphers = pick(g, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
			"HIGH:!aNULL:!MD5", "ECDHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:AES128-SHA")
	}
	if g.chance(30) {
		protocols = pick(g, []string{"http/1.1"}, []string{"http/1.0"}, []string{"http/1.1", "http/1.0"}, nil)
	}
	return versions, ciphers, protocols
}

// listenerTLS makes a listener one of TLS.
func (g *generator) listenerTLS(l *model.Listener) {
	l.DefaultTLSContainerRef = pick(g, "default", "default-rsa")
	servers := slices.Sorted(maps.Keys(serverCertificates()))
	for range pick(g, 0, 0, 1, 2, 3) {
		if name := pick(g, servers...); name != l.DefaultTLSContainerRef && !slices.Contains(l.SNIContainerRefs, name) {
			l.SNIContainerRefs = append(l.SNIContainerRefs, name)
		}
	}
	l.TLSVersions, l.TLSCiphers, l.ALPNProtocols = g.tlsParameters()
	if l.ClientAuthentication = pick(g, "NONE", "OPTIONAL", "OPTIONAL", "OPTIONAL", "MANDATORY"); l.ClientAuthentication != "NONE" || g.chance(10) {
		l.ClientCATLSContainerRef = pick(g, clientCA, clientCA, clientCA, bothCAs, lowerCA)
		l.ClientCRLContainerRef = pick(g, "", "", clientCRL, clientCRL, clientCRL, rootCRL, staleCRL)
	}
	if g.chance(30) {
		l.HSTSMaxAge = new(pick(g, 0, 31_536_000))
		l.HSTSIncludeSubdomains, l.HSTSPreload = g.chance(50), g.chance(30)
	}
}

// memberTLS has a pool speak TLS to its members.
func (g *generator) memberTLS(p *model.Pool) {
	p.TLSEnabled = true
	p.TLSVersions, p.TLSCiphers, p.ALPNProtocols = g.tlsParameters()
	p.TLSContainerRef = pick(g, "", memberClient)
	if p.CATLSContainerRef = pick(g, "", memberCA); p.CATLSContainerRef != "" {
		p.CRLContainerRef = pick(g, "", memberCRL)
	}
}

// tlsClient returns how a client greets a listener; now and then it does not.
func (g *generator) tlsClient(l *model.Listener) *tlsClient {
	if g.chance(1) {
		return nil
	}
	c := &tlsClient{
		SNI:  pick(g, "", "", "www.example.com", "www.example.com", "example.com", "WWW.Example.COM", "api.example.com", "a.b.example.com", "default.test", "other.test", "unknown.test"),
		ALPN: pick(g, nil, nil, []string{"http/1.1"}, []string{"http/1.1"}, []string{"http/1.0", "http/1.1"}, []string{"foo"}),
	}
	if chance := map[string]int{"OPTIONAL": 70, "MANDATORY": 90}[l.ClientAuthentication]; g.chance(max(chance, 10)) {
		c.Certificate = pick(g, slices.Concat(goodClients(), goodClients(), goodOrNot(), badClients())...)
	}
	if g.chance(15) {
		c.Version = pick(g, "TLSv1.2", "TLSv1.2", "TLSv1.3", "TLSv1.1", "TLSv1")
	}
	if c.Version == "TLSv1.2" && g.chance(40) {
		c.Ciphers = pick(g, []string{"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}, []string{"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
			[]string{"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"}, []string{"TLS_RSA_WITH_AES_128_CBC_SHA"})
	}
	return c
}

// tlsRule is a rule about the client's certificate.
func (g *generator) tlsRule() model.L7Rule {
	r := model.L7Rule{ID: g.id(), AdminStateUp: !g.chance(10), Invert: g.chance(25), CompareType: "EQUAL_TO"}
	switch r.Type = pick(g, model.L7TypeSSLConnHasCert, model.L7TypeSSLVerifyResult, model.L7TypeSSLDNField, model.L7TypeSSLDNField); r.Type {
	case model.L7TypeSSLConnHasCert:
		r.Value = pick(g, "True", "true")
	case model.L7TypeSSLVerifyResult:
		r.Value = pick(g, "0", "0", "10", "23")
	default:
		r.Key = pick(g, "CN", "CN", "O", "OU", "C", "emailAddress", "UID", "ST")
		r.CompareType = pick(g, "EQUAL_TO", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "REGEX")
		r.Value = pick(g, "client", "client", "Acme", "DE", "a", "c", "one", "two", ",", "first", "é", "jd", "a@b.example", "b")
		if r.CompareType == "REGEX" {
			r.Value = pick(g, "^client$", "c", "^.c", "t$", "Acme|Dev", "[a-z]+", "^[A-Z]{2}$", "one|three")
		}
	}
	return r
}

// plainTLS are changes that leave less of a listener's TLS.
func plainTLS() []func(*model.Listener) {
	return []func(*model.Listener){
		func(l *model.Listener) { l.SNIContainerRefs = nil },
		func(l *model.Listener) { l.SNIContainerRefs = l.SNIContainerRefs[min(1, len(l.SNIContainerRefs)):] },
		func(l *model.Listener) { l.SNIContainerRefs = l.SNIContainerRefs[:max(0, len(l.SNIContainerRefs)-1)] },
		func(l *model.Listener) {
			l.ClientAuthentication, l.ClientCATLSContainerRef, l.ClientCRLContainerRef = "", "", ""
		},
		func(l *model.Listener) { l.ClientCRLContainerRef = "" },
		func(l *model.Listener) { l.HSTSMaxAge, l.HSTSIncludeSubdomains, l.HSTSPreload = nil, false, false },
		func(l *model.Listener) { l.TLSVersions = nil },
		func(l *model.Listener) { l.TLSCiphers = "" },
		func(l *model.Listener) { l.ALPNProtocols = nil },
	}
}
