package server

import (
	"strings"
	"testing"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

func TestParseNACK(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		names []string
		want  map[string]string
	}{
		"listeners": {
			"Error adding/updating listener(s) a: error adding listener: 'a' has duplicate address, as 'c'\nb: bad\n",
			[]string{"a", "b", "c"},
			map[string]string{"a": "error adding listener: 'a' has duplicate address, as 'c'", "b": "bad"},
		},
		"clusters": {
			"Error adding/updating cluster(s) p1: no, never, p2:l1: neither",
			[]string{"p1", "p2", "p2:l1", "l1"},
			map[string]string{"p1": "no, never", "p2:l1": "neither"},
		},
		"a name inside another": {
			"Error adding/updating cluster(s) tcp:l1: bad", []string{"l1", "tcp:l1"}, map[string]string{"tcp:l1": "bad"},
		},
		"a pattern for a name": {"Error adding/updating cluster(s) axb: bad", []string{"a.b"}, map[string]string{}},
		"none":                 {"missing ): /(", []string{"a", "b"}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) { equal(t, parseNACK(test.text, test.names), test.want) })
	}
}

func TestSentenceHoldsNoSecret(t *testing.T) {
	text := "goo.gle/debugproto name: \"s\"\ntls_certificate {\n inline_string: \"-----BEGIN PRIVATE KEY-----\"\n}\n" +
		": Proto constraint validation failed (SecretValidationError.Name: value length must be at least 1 characters)"
	equal(t, sentence(resource.SecretType, text), text[strings.Index(text, "Proto"):])
	if got := sentence(resource.SecretType, "odd: inline_string: \"-----BEGIN PRIVATE KEY-----\""); strings.Contains(got, "BEGIN") {
		t.Fatal(got)
	}
}
