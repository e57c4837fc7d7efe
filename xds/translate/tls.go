package translate

import (
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/ciphers"
)

// Octavia's words for client_authentication.
const (
	clientAuthNone      = "NONE"
	clientAuthOptional  = "OPTIONAL"
	clientAuthMandatory = "MANDATORY"
)

// readsRequests reports whether a listener sees HTTP: it has routes, and L7 policies.
func readsRequests(listener *model.Listener) bool {
	return listener.Protocol == model.ProtocolHTTP || listener.Protocol == model.ProtocolTerminatedHTTPS
}

// terminates reports whether TLS ends at a listener.
func terminates(listener *model.Listener) bool {
	return listener.Protocol == model.ProtocolTerminatedHTTPS
}

// authenticates reports whether a listener asks its clients for certificates.
func authenticates(listener *model.Listener) bool {
	return terminates(listener) && listener.ClientCATLSContainerRef != "" && listener.ClientAuthentication != "" &&
		listener.ClientAuthentication != clientAuthNone
}

// listenerSecrets adds what the TLS of a listener needs.
func (t *translation) listenerSecrets(listener *model.Listener) error {
	for _, place := range listener.Secrets() {
		var err error
		switch {
		case place.IsCertificate():
			err = t.certificateSecret(place)
		case place.Role == model.RoleClientCA && authenticates(listener):
			err = t.validationSecret(place, listener.ClientCRLContainer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// downstreamTLS ends the clients' TLS with some of the listener's certificates, the one for unknown names first. Envoy picks
// by the names in the certificates, wildcards too, and by what kinds of key the client can do.
func downstreamTLS(listener *model.Listener, certificates []model.Secret) (*corev3.TransportSocket, error) {
	parameters, err := tlsParameters(listener.TLSVersions, listener.TLSCiphers)
	if err != nil {
		return nil, err
	}
	common := &tlsv3.CommonTlsContext{TlsParams: parameters, AlpnProtocols: listener.ALPNProtocols}
	for _, place := range certificates {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, secretByName(place.Name()))
	}
	context := &tlsv3.DownstreamTlsContext{
		CommonTlsContext: common,
		// A response that is late or missing costs the client the staple and nobody the connection.
		OcspStaplePolicy: tlsv3.DownstreamTlsContext_LENIENT_STAPLING,
	}
	if authenticates(listener) {
		authority := model.Secret{Owner: model.Ref{Kind: model.KindListener, ID: listener.ID}, Role: model.RoleClientCA}
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: secretByName(authority.Name()),
		}
		// OPTIONAL lets clients in that have no certificate, and never one with a bad certificate, as HAProxy does.
		context.RequireClientCertificate = wrapperspb.Bool(listener.ClientAuthentication == clientAuthMandatory)
	}
	config, err := pack(context)
	if err != nil {
		return nil, err
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: config},
	}, nil
}

// tlsParameters are the versions and ciphers of Octavia's attributes. TLS 1.3 has a fixed list of ciphers in BoringSSL.
func tlsParameters(versions []string, list string) (*tlsv3.TlsParameters, error) {
	lowest, highest, err := tlsRange(versions)
	if err != nil {
		return nil, err
	}
	parameters := &tlsv3.TlsParameters{TlsMinimumProtocolVersion: lowest, TlsMaximumProtocolVersion: highest}
	if list == "" || lowest == tlsv3.TlsParameters_TLSv1_3 {
		return parameters, nil
	}
	selection, err := ciphers.Select(list)
	if err != nil {
		return nil, err
	}
	parameters.CipherSuites = selection.Suites
	return parameters, nil
}

// CheckTLSVersions says why a list of Octavia's tls_versions cannot be served.
func CheckTLSVersions(versions []string) error {
	_, _, err := tlsRange(versions)
	return err
}

// tlsRange turns Octavia's list of versions into Envoy's range; none is Octavia's default, TLS 1.2 and 1.3.
func tlsRange(versions []string) (lowest, highest tlsv3.TlsParameters_TlsProtocol, err error) {
	if len(versions) == 0 {
		return tlsv3.TlsParameters_TLSv1_2, tlsv3.TlsParameters_TLSv1_3, nil
	}
	known := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"} // in the order of Envoy's, which begin at TLSv1_0
	places := make([]int, len(versions))
	for i, version := range versions {
		if places[i] = slices.Index(known, version); places[i] < 0 {
			return 0, 0, fmt.Errorf("%.32q is not supported: use TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3", version)
		}
	}
	first, last := slices.Min(places), slices.Max(places)
	for place := first; place <= last; place++ {
		if !slices.Contains(versions, known[place]) {
			return 0, 0, fmt.Errorf("%s is missing between %s and %s: a gap is not supported, add it or leave out one of the two",
				known[place], known[first], known[last])
		}
	}
	protocol := func(place int) tlsv3.TlsParameters_TlsProtocol {
		return tlsv3.TlsParameters_TLSv1_0 + tlsv3.TlsParameters_TlsProtocol(place) //nolint:gosec // 0 to 3
	}
	return protocol(first), protocol(last), nil
}

// scheme is how clients reach a listener that sees HTTP.
func scheme(listener *model.Listener) string {
	if terminates(listener) {
		return "https"
	}
	return "http"
}

// strictTransport is the HSTS header of a listener (RFC 6797), as HAProxy writes it; it is with the routes, so that a
// change drains nothing.
func strictTransport(listener *model.Listener) []*corev3.HeaderValueOption {
	if !terminates(listener) || listener.HSTSMaxAge == nil {
		return nil
	}
	value := fmt.Sprintf("max-age=%d;", *listener.HSTSMaxAge)
	if listener.HSTSIncludeSubdomains {
		value += " includeSubDomains;"
	}
	if listener.HSTSPreload {
		value += " preload;"
	}
	return []*corev3.HeaderValueOption{overwrite("strict-transport-security", value)}
}
