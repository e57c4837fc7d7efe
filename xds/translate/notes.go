package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/ciphers"
)

// Note is something that was asked for, has no effect and does no harm: for the operator's log. Nobody is told of it in Octavia,
// whose default list of ciphers alone would be a warning for each listener.
type Note struct {
	// Owner is the object that asks for it.
	Owner model.Ref
	// Text names the attribute and says what has no effect. It holds nothing secret.
	Text string
}

// noteCiphers says which ciphers fall away. With TLS 1.3 alone none of the list does anything, as Octavia says itself.
func (t *translation) noteCiphers(owner model.Ref, versions []string, list string) {
	if len(versions) > 0 && !slices.ContainsFunc(versions, func(version string) bool { return version != "TLSv1.3" }) {
		return
	}
	if selection, _ := ciphers.Select(list); len(selection.Dropped) > 0 {
		t.out.Notes = append(t.out.Notes, Note{Owner: owner, Text: fmt.Sprintf("tls_ciphers: Envoy has no %.300s; the others are in use",
			strings.Join(selection.Dropped, ", "))})
	}
}
