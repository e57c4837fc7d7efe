package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// memberTransport is how members are connected to: in clear or by TLS, both behind the PROXY protocol if the pool has it.
// Nil is in clear.
func (t *translation) memberTransport(pool *model.Pool) (*corev3.TransportSocket, error) {
	var inner *corev3.TransportSocket
	if pool.TLSEnabled {
		var err error
		if inner, err = t.memberTLS(pool); err != nil {
			return nil, err
		}
	}
	return withProxyProtocol(pool, inner)
}

// withProxyProtocol puts the PROXY protocol before a transport if the pool has it; nil is in clear.
func withProxyProtocol(pool *model.Pool, inner *corev3.TransportSocket) (*corev3.TransportSocket, error) {
	if !speaksProxy(pool) {
		return inner, nil
	}
	if inner == nil {
		var err error
		if inner, err = plainTransport(); err != nil {
			return nil, err
		}
	}
	return proxyProtocol(pool, inner)
}

// memberTLS encrypts to the members of a pool. Without ca_tls_container_ref any certificate of theirs is good; with it, one
// that these authorities signed, and for the name that the client asked for if it did, as HAProxy checks them.
func (t *translation) memberTLS(pool *model.Pool) (*corev3.TransportSocket, error) {
	parameters, err := tlsParameters(pool.TLSVersions, pool.TLSCiphers)
	if err != nil {
		return nil, err
	}
	common := &tlsv3.CommonTlsContext{TlsParams: parameters, AlpnProtocols: t.memberALPN(pool)}
	context := &tlsv3.UpstreamTlsContext{CommonTlsContext: common}
	for _, place := range pool.Secrets() {
		switch place.Role {
		case model.RoleClient:
			if err := t.certificateSecret(place); err != nil {
				return nil, err
			}
			common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{secretByName(place.Name())}
		case model.RoleCA:
			if err := t.validationSecret(place, pool.CRLContainer); err != nil {
				return nil, err
			}
			common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
				ValidationContextSdsSecretConfig: secretByName(place.Name()),
			}
			context.AutoSniSanValidation = true
		}
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

// memberServerName gives members the server name (SNI) that the client asked for, and none if it asked for none: HAProxy's
// `sni ssl_fc_sni`. Connections to members are then shared among clients of one name.
func memberServerName(listener *model.Listener, pool *model.Pool) []*filterstatev3.FilterStateValue {
	if !pool.TLSEnabled || !terminates(listener) {
		return nil
	}
	return []*filterstatev3.FilterStateValue{{
		Key: &filterstatev3.FilterStateValue_ObjectKey{ObjectKey: "envoy.network.upstream_server_name"},
		Value: &filterstatev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: "%REQUESTED_SERVER_NAME%"},
			}},
			OmitEmptyValues: true,
		}},
		SharedWithUpstream: filterstatev3.FilterStateValue_ONCE,
		SkipIfEmpty:        true,
	}}
}
