package translate

import (
	_ "embed"
	"strings"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// What members are told of a client's certificate, to the byte as HAProxy tells it:
//
//	set_filter_state      octavia.client.sha1 = the fingerprint, in lower case           (RDS, where it is asked for)
//	Lua                   metadata octavia.client = the names and times as HAProxy writes them            (RDS, likewise)
//	RouteConfiguration    x-ssl-client-dn: %DYNAMIC_METADATA(octavia.client:dn)%
//
// It differs in names of the types that RFC 5280 forbids in new certificates, BMPString, TeletexString and UniversalString:
// their text is UTF-8 here and their bytes there.
//
// The RouteConfiguration writes the header over whatever a client sent, be there a certificate or not, and should the
// script fail.

//go:embed clientcert.lua
var clientScript string

const (
	// clientFilter is the Lua filter that tells of the client's certificate. Listeners that authenticate clients have it
	// disabled, and their routes enable it. It is the namespace of what it writes, too.
	clientFilter = "octavia.client"
	// clientSHA1 is the filter state with the fingerprint: scripts have that of SHA-256 alone.
	clientSHA1 = "octavia.client.sha1"
	// headerClientDN is the subject of the client's certificate, as routes see it (RFC 2253). It never leaves Envoy.
	headerClientDN = "x-octavia-client-dn"
)

// clientHeaders are Octavia's SUPPORTED_SSL_HEADERS, in the order of HAProxy's template, with what the script calls them;
// those that need no script have no such name.
func clientHeaders() []struct{ header, told string } {
	return []struct{ header, told string }{
		{"X-SSL-Client-Verify", ""},
		{"X-SSL-Client-Has-Cert", ""},
		{"X-SSL-Client-DN", "dn"},
		{"X-SSL-Client-CN", "cn"},
		{"X-SSL-Issuer", "issuer"},
		{"X-SSL-Client-SHA1", "sha1"},
		{"X-SSL-Client-Not-Before", "not_before"},
		{"X-SSL-Client-Not-After", "not_after"},
	}
}

func isClientHeader(name string) bool {
	for _, known := range clientHeaders() {
		if known.header == name {
			return true
		}
	}
	return false
}

// insertedClientHeaders are the headers about the client's certificate that a listener adds to requests.
func insertedClientHeaders(listener *model.Listener) []*corev3.HeaderValueOption {
	if !terminates(listener) {
		return nil
	}
	var add []*corev3.HeaderValueOption
	for _, known := range clientHeaders() {
		if !inserts(listener, known.header) {
			continue
		}
		value := ""
		switch {
		case known.header == "X-SSL-Client-Verify":
			// X509_V_OK: a client whose certificate is bad does not get in, and without one there is nothing wrong with it.
			value = "0"
		case known.header == "X-SSL-Client-Has-Cert" && authenticates(listener):
			value = `%CEL(connection.mtls ? "1" : "0")%`
		case known.header == "X-SSL-Client-Has-Cert":
			value = "0"
		case authenticates(listener):
			value = "%DYNAMIC_METADATA(" + clientFilter + ":" + known.told + ")%"
		}
		option := overwrite(strings.ToLower(known.header), value)
		option.KeepEmptyValue = true
		add = append(add, option)
	}
	return add
}

// tellsOfClient enables the script for all routes of a listener whose headers need it.
func tellsOfClient(listener *model.Listener, routes *routev3.RouteConfiguration) error {
	asked := map[string]*structpb.Value{}
	for _, known := range clientHeaders() {
		if known.told != "" && inserts(listener, known.header) {
			asked[known.told] = structpb.NewBoolValue(true)
		}
	}
	if len(asked) == 0 || !authenticates(listener) {
		return nil
	}
	config, err := pack(&luav3.LuaPerRoute{
		Override: &luav3.LuaPerRoute_SourceCode{SourceCode: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: clientScript},
		}},
		FilterContext: &structpb.Struct{Fields: asked},
		SharedVmId:    clientFilter,
	})
	routes.TypedPerFilterConfig = map[string]*anypb.Any{clientFilter: config}
	return err
}

// clientState is what a route's filter state has of the client's certificate, for the script.
func clientState(listener *model.Listener) []*filterstatev3.FilterStateValue {
	if !authenticates(listener) || !inserts(listener, "X-SSL-Client-SHA1") {
		return nil
	}
	return []*filterstatev3.FilterStateValue{{
		Key:        &filterstatev3.FilterStateValue_ObjectKey{ObjectKey: clientSHA1},
		FactoryKey: "envoy.string",
		Value: &filterstatev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: "%DOWNSTREAM_PEER_FINGERPRINT_1%"},
			}},
			OmitEmptyValues: true,
		}},
		SkipIfEmpty: true,
	}}
}

// clientFilters is the script, disabled, of a listener that authenticates its clients: to ask for a header or not then
// changes its routes alone.
func clientFilters(listener *model.Listener) ([]*hcmv3.HttpFilter, error) {
	if !authenticates(listener) {
		return nil, nil
	}
	// It changes nothing that a route is chosen by.
	config, err := pack(&luav3.Lua{ClearRouteCache: wrapperspb.Bool(false)})
	if err != nil {
		return nil, err
	}
	return []*hcmv3.HttpFilter{
		{Name: clientFilter, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}, Disabled: true},
	}, nil
}

// keepClientDN puts the subject of the client's certificate where routes see it. A client's own header is removed.
func keepClientDN(listener *model.Listener) []*mutationrulesv3.HeaderMutation {
	if !authenticates(listener) {
		return nil
	}
	return []*mutationrulesv3.HeaderMutation{
		{Action: &mutationrulesv3.HeaderMutation_Remove{Remove: headerClientDN}},
		{Action: &mutationrulesv3.HeaderMutation_Append{Append: overwrite(headerClientDN, "%DOWNSTREAM_PEER_SUBJECT%")}},
	}
}
