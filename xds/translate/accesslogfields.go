package translate

import "github.com/octavia-envoy/octavia-envoy/driver/model"

// AccessLogField is one field of a line of the access log.
type AccessLogField struct {
	// Name is its key in the JSON.
	Name string
	// HTTP, TCP and UDP are what Envoy writes there for a request, a connection and a session, in Envoy's format syntax; ""
	// where there is no such field. TCP is that of HTTPS, too. The ids that stand here as <…> are the same in all lines of a
	// listener.
	HTTP, TCP, UDP string
	// Help is what it says.
	Help string
}

func (f AccessLogField) format(protocol string) string {
	switch protocol {
	case model.ProtocolHTTP, model.ProtocolTerminatedHTTPS, model.ProtocolPrometheus:
		return f.HTTP
	case model.ProtocolUDP:
		return f.UDP
	}
	return f.TCP
}

// everywhere is a field that says the same for all protocols.
func everywhere(name, format, help string) AccessLogField {
	return AccessLogField{Name: name, HTTP: format, TCP: format, UDP: format, Help: help}
}

// overTCP is a field of requests and connections.
func overTCP(name, format, help string) AccessLogField {
	return AccessLogField{Name: name, HTTP: format, TCP: format, Help: help}
}

// ofRequests is a field of HTTP.
func ofRequests(name, format, help string) AccessLogField {
	return AccessLogField{Name: name, HTTP: format, Help: help}
}

// AccessLogFields are the fields of the access log. Envoy writes them sorted by name, null where there is nothing to say.
//
// No header is here whose purpose is to hold a secret, and of URLs nothing behind the question mark. What a client can make long is
// cut: `:N` is a number of bytes.
func AccessLogFields() []AccessLogField {
	return []AccessLogField{
		everywhere("time", "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%", "begin, UTC"),
		everywhere("project_id", "<project>", "the load balancer's project"),
		everywhere("loadbalancer_id", "<load balancer>", ""),
		everywhere("listener_id", "<listener>", ""),
		everywhere("listener_protocol", "<protocol>", "HTTP, TERMINATED_HTTPS, PROMETHEUS, HTTPS, TCP or UDP"),
		{
			Name: "pool_id", HTTP: "%METADATA(CLUSTER:octavia:pool)%",
			TCP: "%METADATA(UPSTREAM_HOST:octavia:pool)%", UDP: "%METADATA(UPSTREAM_HOST:octavia:pool)%",
			Help: "null when no pool was asked, and of TCP and UDP when it has no member that is up",
		},
		everywhere("member_id", "%METADATA(UPSTREAM_HOST:octavia:member)%", "the last that was tried; null for none"),
		everywhere("member_address", "%UPSTREAM_REMOTE_ADDRESS%", "its address and port; null when it could not be connected to"),
		ofRequests("l7policy_id", "%ROUTE_NAME%", "the policy that took the request; null for the default pool"),
		ofRequests("request_id", "%REQ(X-REQUEST-ID):128%", "the header X-Request-Id as the member saw it, see `request_id` of the flavor"),
		everywhere("client_address", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "who connected; no header can change it"),
		everywhere("client_port", "%DOWNSTREAM_DIRECT_REMOTE_PORT%", ""),
		everywhere("vip_address", "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "the load balancer's address that was asked"),
		overTCP("connection_id", "%CONNECTION_ID%", "counts the client's connections since Envoy's start: requests with the same one came one after the other, or over HTTP/2 or HTTP/3"),
		ofRequests("http_version", "%PROTOCOL%", ""),
		ofRequests("method", "%REQ(:METHOD):32%", ""),
		ofRequests("host", "%REQ(:AUTHORITY):255%", ""),
		ofRequests("path", "%PATH(NQ:PATH):1024%", "without the query, which may hold secrets"),
		ofRequests("referer", "%REQ_WITHOUT_QUERY(REFERER):512%", "the same"),
		ofRequests("user_agent", "%REQ(USER-AGENT):512%", ""),
		ofRequests("status", "%RESPONSE_CODE%", "0 when the client went before there was one"),
		ofRequests("status_details", "%RESPONSE_CODE_DETAILS%", "who made the status and why: via_upstream is the member"),
		overTCP("termination_details", "%CONNECTION_TERMINATION_DETAILS%", "why Envoy ended the connection"),
		everywhere("flags", "%RESPONSE_FLAGS%", "what went wrong, in Envoy's abbreviations: - is nothing, UH no member is up, UF no connection to one, UC it closed, UT it was too slow, DC the client closed, LR and UR a reset"),
		overTCP("member_failure", "%UPSTREAM_TRANSPORT_FAILURE_REASON%", "why the connection to the member failed"),
		overTCP("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "members that were tried"),
		{
			Name: "bytes_in", HTTP: "%DOWNSTREAM_WIRE_BYTES_RECEIVED%", TCP: "%BYTES_RECEIVED%", UDP: "%BYTES_RECEIVED%",
			Help: "from the client; of HTTP with the headers",
		},
		{Name: "bytes_out", HTTP: "%DOWNSTREAM_WIRE_BYTES_SENT%", TCP: "%BYTES_SENT%", UDP: "%BYTES_SENT%", Help: "to the client, the same"},
		ofRequests("request_body_bytes", "%BYTES_RECEIVED%", ""),
		ofRequests("response_body_bytes", "%BYTES_SENT%", ""),
		everywhere("duration_ms", "%DURATION%", "until the last byte, or the end of the connection"),
		overTCP("connect_ms", "%UPSTREAM_CONNECTION_POOL_READY_DURATION%", "until there was a connection to a member, new or kept"),
		ofRequests("first_byte_ms", "%RESPONSE_DURATION%", "until the first byte of the member's answer"),
		overTCP("tls_version", "%DOWNSTREAM_TLS_VERSION%", "the client's; null where the listener does not end TLS"),
		overTCP("tls_cipher", "%DOWNSTREAM_TLS_CIPHER%", "the same"),
		overTCP("tls_server_name", "%REQUESTED_SERVER_NAME%", "SNI, of TERMINATED_HTTPS and HTTPS listeners"),
		overTCP("client_certificate_subject", "%DOWNSTREAM_PEER_SUBJECT%", ""),
		overTCP("client_certificate_serial", "%DOWNSTREAM_PEER_SERIAL%", "hexadecimal"),
	}
}
