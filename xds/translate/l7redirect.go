package translate

import (
	"net/http"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// requestTarget is the path and query of a request, as they came.
const requestTarget = "%PATH(WQ:PATH)%"

// redirect answers with a location. It is not Envoy's own redirect action, which takes the URL apart and writes it anew.
func redirect(route *routev3.Route, policy *model.L7Policy) {
	code := redirectCode(policy)
	route.Action = answer(code)
	route.ResponseHeadersToAdd = []*corev3.HeaderValueOption{responseHeader("location", location(policy))}
	switch code {
	case http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect:
		// As HAProxy says of those that are not for good.
		route.ResponseHeadersToAdd = append(route.ResponseHeadersToAdd, responseHeader("cache-control", "no-cache"))
	}
}

// location is the policy's URL, or its prefix before the request's path and query, as Envoy formats it.
func location(policy *model.L7Policy) string {
	// Envoy expands %…% in headers: those of the user stay what they are.
	literal := func(text string) string { return strings.ReplaceAll(text, "%", "%%") }
	switch {
	case policy.Action == model.L7ActionRedirectToURL:
		return literal(policy.RedirectURL)
	case policy.RedirectPrefix == "/":
		// HAProxy's way to add nothing.
		return requestTarget
	}
	return literal(policy.RedirectPrefix) + requestTarget
}

func redirectCode(policy *model.L7Policy) uint32 {
	if policy.RedirectHTTPCode == 0 {
		return model.DefaultRedirectHTTPCode
	}
	return uint32(policy.RedirectHTTPCode) //nolint:gosec // checkL7Redirect
}

func responseHeader(key, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: key, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
