package translate_test

import (
	"math"
	"strings"
)

// hostileTexts are tried in the place of every text: ids, names, addresses, protocols, values.
func hostileTexts() []string {
	return []string{
		"", " ", "\x00", "a\x00b", "\r\nX-Injected: 1", "a\nb", "\t", "\x7f", "\xff\xfe", "\xc3\x28", "é", "\u2028", "\ufeff", "%", "%%",
		"%REQ(:path)%", "%DOWNSTREAM_LOCAL_PORT%", "%{}%", "%ENVIRONMENT(PATH)%", "{{x}}", "${x}", "../../etc/passwd", "a:b", "a@b", "a.b", "tcp:x",
		"udp:x", "*", "^", "$", "(", ")", "[", "]", "\\", "|", "(?!x)", "(a*)*", "'", "\"", "`", ";", ",", "=", "?", "#", "//", ":path", ":authority",
		"host", "Host", "connection", "x-envoy-original-path", "transfer-encoding", "cookie", "SRV", "a b", "a=b", "0", "-1", "NaN", "null", "true",
		"TRUE", strings.Repeat("x", 64), strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("é", 200), strings.Repeat("(", 300),
		strings.Repeat("a", 100_000), "fe80::1%eth0", "::", "::1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "ff02::1", "::ffff:1.2.3.4", "1.2.3.4.5",
		"010.1.1.1", "1.2.3", "0x7f.1", "127.0.0.1:80", "[::1]", "0.0.0.0/0", "::/0", "10.0.0.1/33", "::ffff:10.0.0.0/100", "::ffff:0:0/90", "10.0.0.0/-1",
		"10.0.0.0/08", "2001:db8::/129", "http://", "http:///x", "https://u.example/%zz", "http://[::1", "http://[::1%25eth0]/", "https://h:99999/",
		"https://h:x/", "https://u:p@h/", "HTTP://X", "https://h\\x", "https://h/%0d%0aSet-Cookie:x", "https://h#f", "http://%41", "//h/x", "javascript:x",
		"https://" + strings.Repeat("h", 247), "SCTP", "PROMETHEUS", "TERMINATED_HTTPS", "http", "PING", "TLS-HELLO", "SSL_DN_FIELD",
		"200", "200-204", "200,202", "204-200", "99", "600", "200-", ",", "1-2-3", "200, 201", "ROUND_ROBIN", "CONNECT", "TRACE", "GET ", "255.0.255.0",
		"vault:bad-short", "vault:nameless", "vault:bad-mismatch", "vault:bad-encrypted", "vault:bad-bundle", "vault:none", "SSLv3", "TLSv1", "h3", "PSK:!ALL",
		"gzip", "brotli", "zstd", "5xx", "retry_on", "pass", "keep", "replace", "text/html", "1.1", "2",
	}
}

// goodTexts are what a field usually has, by the name of the struct and the key; others keep their default.
func goodTexts() map[string][]string {
	protocols := []string{"HTTP", "TCP", "HTTPS", "UDP", "TERMINATED_HTTPS", "TERMINATED_HTTPS", "HTTP", "HTTP"}
	urls := []string{
		"https://u.example", "http://u.example:8080/a?b=c#d", "https://u.example/%20%41", "http://[2001:db8::1]/", "https://u.example/%7B%25%7D",
		"https://u.example/" + strings.Repeat("p", 237), "https://u.example/{x}|\"<>", "https://xn--bcher-kva.example/",
	}
	return map[string][]string{
		"LoadBalancer.name":        {"", "lb", "a\nb"},
		"LoadBalancer.description": {"", "%", "\x00"},
		"LoadBalancer.vip_address": {"192.0.2.10", "2001:db8::10", "2001:DB8:0::11"},
		"AdditionalVIP.ip_address": {"192.0.2.11", "2001:db8::12", "192.0.2.12", "2001:db8::13"},
		"AdditionalVIP.subnet_id":  {"30000000-0000-4000-8000-000000000001", "30000000-0000-4000-8000-000000000002"},
		"Listener.protocol":        append([]string{"PROMETHEUS"}, protocols...)[1:], // PROMETHEUS is among the hostile ones
		"Listener.allowed_cidrs": {
			"10.0.0.0/8", "2001:db8::/32", "203.0.113.7/32", "0.0.0.0/0", "::/0", "10.1.2.3/8", "::ffff:10.0.0.0/104", "2001:db8::1/128",
		},
		"Pool.protocol":                              {"HTTP", "TCP", "HTTPS", "PROXY", "PROXYV2", "UDP", "HTTP"},
		"Pool.lb_algorithm":                          {"ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"},
		"SessionPersistence.type":                    {"SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE"},
		"SessionPersistence.cookie_name":             {"JSESSIONID", "!#$%&'*+-.^_`|~", "a", "SRV", "%REQ", strings.Repeat("c", 255)},
		"SessionPersistence.persistence_granularity": {"", "255.255.255.255", "128"},
		"Member.address": {
			"198.51.100.1", "2001:db8:1::1", "::ffff:198.51.100.2", "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "::1", "fe80::1", "ff02::1",
		},
		"Member.monitor_address":       {"", "", "", "", "", "", "", "198.51.100.9", "2001:db8:1::9", "::"},
		"HealthMonitor.type":           {"HTTP", "TCP", "HTTPS", "TLS-HELLO", "UDP-CONNECT", "PING"},
		"HealthMonitor.http_method":    {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"},
		"HealthMonitor.url_path":       {"/", "/health?x=%41", "/%", "/" + strings.Repeat("p", 254), "/#x", "//", "/%REQ(x)%"},
		"HealthMonitor.expected_codes": {"200", "200,202", "200-204", "100-599", "200-204,301,500-503", "599", "100"},
		"HealthMonitor.domain_name":    {"", "www.example.org", "x", strings.Repeat("d", 255)},
		"L7Policy.action":              {"REJECT", "REDIRECT_TO_URL", "REDIRECT_PREFIX", "REDIRECT_TO_POOL"},
		"L7Policy.redirect_url":        urls,
		"L7Policy.redirect_prefix":     urls,
		"L7Rule.type": {
			"PATH", "HOST_NAME", "HEADER", "COOKIE", "FILE_TYPE", "SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT", "SSL_DN_FIELD", "SSL_DN_FIELD",
		},
		"L7Rule.compare_type": {"STARTS_WITH", "EQUAL_TO", "ENDS_WITH", "CONTAINS", "REGEX", "REGEX"},
		"L7Rule.key": {
			"X-Key", "sid", "!#$%&'*+-.^_`|~", "host", "Host", "cookie", "content-length", "user-agent", "x-forwarded-for", "x-request-id", "via", "upgrade",
			"expect", "accept-encoding", "content-type", "grpc-timeout", "x-octavia-member", strings.Repeat("k", 255),
		},
	}
}

// goodNumbers are goodTexts for numbers.
func goodNumbers() map[string][]int64 {
	timeouts := []int64{50000, 0, 1, 999, 2073600000}
	return map[string][]int64{
		"Listener.protocol_port":                 {80, 443, 1, 65535, 8080},
		"Listener.connection_limit":              {-1, 0, 1, 2000, math.MaxInt32},
		"Listener.timeout_client_data":           timeouts,
		"Listener.timeout_member_connect":        {5000, 0, 1, 2073600000},
		"Listener.timeout_member_data":           timeouts,
		"Listener.timeout_tcp_inspect":           {0, 1, 2073600000},
		"Listener.hsts_max_age":                  {31536000, 0, 1, math.MaxInt32},
		"SessionPersistence.persistence_timeout": {0, 360},
		"Member.protocol_port":                   {80, 1, 65535},
		"Member.weight":                          {1, 0, 256, 2},
		"Member.monitor_port":                    {0, 0, 0, 0, 0, 0, 0, 8081, 65535},
		"HealthMonitor.delay":                    {5, 1, 2_147_483},
		"HealthMonitor.timeout":                  {5, 1, 50},
		"HealthMonitor.max_retries":              {3, 1, 10},
		"HealthMonitor.max_retries_down":         {3, 1, 10},
		"L7Policy.position":                      {1, 2, math.MaxInt32},
		"L7Policy.redirect_http_code":            {0, 301, 302, 303, 307, 308},
	}
}
