package probe

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// asked returns the request that Envoy makes of a path and a hostname.
func asked(path, host string) *http.Request {
	made := httptest.NewRequest(http.MethodGet, "/", nil)
	parsed, err := url.Parse(path)
	if err != nil {
		panic(err)
	}
	made.URL, made.Host = parsed, host
	return made
}

func TestParse(t *testing.T) {
	check, err := parse(asked("/HTTP?timeout_ms=2500&method=POST&path=%2Fa%3Fb%3Dc&version=1.0&codes=200-204,301&tls=1&proxy=2&pool=p", "[fd00::5]:8080"))
	must(t, err)
	if check.kind != "HTTP" || check.target.String() != "[fd00::5]:8080" || check.timeout != 2500*time.Millisecond ||
		check.http.path != "/a?b=c" || check.http.method != "POST" || !check.http.tls || check.http.proxy != 2 ||
		!check.http.codes.has(204) || check.http.codes.has(205) || !check.http.codes.has(301) {
		t.Errorf("got %+v", check)
	}
	check, err = parse(asked("/PING?timeout_ms=99999999999999", "[::ffff:10.0.0.5]:80"))
	must(t, err)
	if check.target.String() != "10.0.0.5:80" || check.timeout != maxTimeout {
		t.Errorf("got %+v", check)
	}
}

func TestRefusals(t *testing.T) {
	const ping, web = "/PING?timeout_ms=1000", "/HTTP?timeout_ms=1000&method=GET&path=/&version=1.0&codes=200"
	for _, refused := range []struct{ path, host, want string }{
		{"/PING", "10.0.0.5:80", "timeout_ms"},
		{"/PING?timeout_ms=0", "10.0.0.5:80", "timeout_ms"},
		{"/PING?timeout_ms=1s", "10.0.0.5:80", "timeout_ms"},
		{"/ping?timeout_ms=1000", "10.0.0.5:80", "no such check"},
		{"/PING/?timeout_ms=1000", "10.0.0.5:80", "no such check"},
		{"/?timeout_ms=1000", "10.0.0.5:80", "no such check"},
		{"/PING?timeout_ms=1000&a=%zz", "10.0.0.5:80", "query"},
		{ping, "", "want an IP address and a port"},
		{ping, "localhost:80", "want an IP address and a port"},
		{ping, "metadata.example:80", "want an IP address and a port"},
		{ping, "10.0.0.5", "want an IP address and a port"},
		{ping, "10.0.0.05:80", "want an IP address and a port"},
		{ping, "0x7f000001:80", "want an IP address and a port"},
		{ping, "10.0.0.5:0", "port 0"},
		{ping, "0.0.0.0:80", "nobody's own"},
		{ping, "[::]:80", "nobody's own"},
		{ping, "[::ffff:0.0.0.0]:80", "nobody's own"},
		{ping, "255.255.255.255:80", "nobody's own"},
		{ping, "224.0.0.1:80", "nobody's own"},
		{ping, "[ff02::1]:80", "nobody's own"},
		{ping, "[fe80::1%25eth0]:80", "zone"},
		{strings.Replace(web, "GET", "get", 1), "10.0.0.5:80", "method"},
		{strings.Replace(web, "GET", "", 1), "10.0.0.5:80", "method"},
		{strings.Replace(web, "GET", "GET%20/%20HTTP/1.1%0d%0a", 1), "10.0.0.5:80", "method"},
		{strings.Replace(web, "path=/", "path=", 1), "10.0.0.5:80", "path"},
		{strings.Replace(web, "path=/", "path=/%0d%0aX:y", 1), "10.0.0.5:80", "path"},
		{strings.Replace(web, "path=/", "path=/a%20b", 1), "10.0.0.5:80", "path"},
		{web + "&host=a%0d%0aX:y", "10.0.0.5:80", "host"},
		{strings.Replace(web, "1.0", "2", 1), "10.0.0.5:80", "version"},
		{strings.Replace(web, "=200", "=", 1), "10.0.0.5:80", "codes"},
		{strings.Replace(web, "=200", "=2xx", 1), "10.0.0.5:80", "codes"},
		{strings.Replace(web, "=200", "=204-200", 1), "10.0.0.5:80", "codes"},
		{strings.Replace(web, "=200", "=200,", 1), "10.0.0.5:80", "codes"},
		{strings.Replace(web, "=200", "=20", 1), "10.0.0.5:80", "codes"},
		{web + "&tls=yes", "10.0.0.5:80", "tls"},
		{web + "&proxy=3", "10.0.0.5:80", "proxy"},
	} {
		answer := httptest.NewRecorder()
		New(Options{}).ServeHTTP(answer, asked(refused.path, refused.host))
		if answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), refused.want) {
			t.Errorf("%s of %q: %d %q, want %q", refused.path, refused.host, answer.Code, answer.Body, refused.want)
		}
	}
	posted := asked(ping, "10.0.0.5:80")
	posted.Method = http.MethodPost
	answer := httptest.NewRecorder()
	New(Options{}).ServeHTTP(answer, posted)
	if answer.Code != http.StatusBadRequest {
		t.Errorf("POST: %d", answer.Code)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("timeout_ms=1000&method=GET&path=/&version=1.0&codes=200-204,301&tls=1", "10.0.0.5:80")
	f.Add("timeout_ms=1000&method=GET&path=/%0d%0a&version=1.1&host=%0a&codes=200", "[fd00::5]:8080")
	f.Fuzz(func(t *testing.T, query, host string) {
		made := asked("/HTTP", host)
		made.URL.RawQuery = query
		check, err := parse(made)
		if err != nil {
			return
		}
		lines := strings.Split(check.http.text(), "\r\n")
		if strings.Count(lines[0], " ") != 2 || len(lines) > 5 || strings.ContainsAny(strings.Join(lines, ""), "\r\n") {
			t.Errorf("sends %q", check.http.text())
		}
		if !check.target.IsValid() || check.target.Addr().IsMulticast() || check.timeout <= 0 {
			t.Errorf("got %+v", check)
		}
	})
}
