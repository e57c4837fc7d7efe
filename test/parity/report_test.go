package parity

import (
	"fmt"
	"strings"
)

// report is all that a reader needs to see a difference.
func report(t *trial, config string, differences []difference) string {
	var b strings.Builder
	for _, d := range differences {
		fmt.Fprintf(&b, "request %d, %s:\n    HAProxy  %s\n    Envoy    %s\n", d.Step, d.Where, d.HAProxy, d.Envoy)
	}
	c := &testCase{LoadBalancer: t.lb, Exchange: *t.exchange}
	fmt.Fprintf(&b, "\nto keep it, put this into test/parity/%s/NAME.yaml:\n%s\n", casesFolder, indent(c.String()))
	fmt.Fprintf(&b, "what Octavia renders:\n%s\n", indent(config))
	fmt.Fprintf(&b, "to port %d:\n%s", t.listener().ProtocolPort, t.exchange)
	fmt.Fprintf(&b, "\nHAProxy:\n%s\nEnvoy:\n%s", indent(t.haproxy.String()), indent(t.envoy.String()))
	return b.String()
}

func (x *exchange) String() string {
	var b strings.Builder
	if x.Pipelined {
		b.WriteString("    all at once, before any answer\n")
	}
	if x.Browser {
		b.WriteString("    with the cookies of earlier answers\n")
	}
	if x.TLS != nil {
		fmt.Fprintf(&b, "    by TLS: %+v\n", *x.TLS)
	}
	for i := range x.Requests {
		head, body := x.Requests[i].wire("ID", nil)
		b.WriteString(indent(strings.ReplaceAll(fmt.Sprintf("%.2000q", head), `\r\n`, "\\r\\n\n")))
		if len(body) > 0 {
			fmt.Fprintf(&b, "    and %s\n", excerpt(body))
		}
	}
	for _, content := range x.Records {
		fmt.Fprintf(&b, "    a record with %s\n", excerpt([]byte(content.String())))
	}
	return b.String()
}

func (o *outcome) String() string {
	if o.Connect != "" {
		return "connection " + o.Connect
	}
	var b strings.Builder
	for _, each := range o.Handshakes {
		fmt.Fprintln(&b, each)
	}
	for i := range o.Steps {
		s := &o.Steps[i]
		for _, each := range s.Seen {
			fmt.Fprintf(&b, "member %s saw %s %s\n%s\n", each.Member, each.Proxy, each.TLS, indent(each.Request.String()))
		}
		fmt.Fprintf(&b, "answer %d: %s %s\n", i, s.End, firsts(s.Interim))
		if s.Response != nil {
			fmt.Fprintf(&b, "%s\n", indent(s.Response.String()))
		}
	}
	return b.String()
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}
