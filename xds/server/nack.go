package server

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// parseNACK finds Envoy's sentence for each resource that it names in the error detail of a NACK:
//
//	Error adding/updating listener(s) a: reason\nb: reason
//	Error adding/updating cluster(s) a: reason, b: reason
//
// (LdsApiImpl and CdsApiHelper, onConfigUpdate). A reason may itself hold commas, newlines and names; so the names that
// were sent are looked for where one can begin, and each reason ends where the next begins.
func parseNACK(text string, names []string) map[string]string {
	type found struct {
		name       string
		start, end int
	}
	var all []found
	for _, name := range names {
		place := regexp.MustCompile(`(?:^|\(s\) |\n|, )(` + regexp.QuoteMeta(name) + `): `)
		if at := place.FindStringSubmatchIndex(text); at != nil {
			all = append(all, found{name: name, start: at[2], end: at[1]})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.start, b.start) })

	reasons := make(map[string]string, len(all))
	for i, f := range all {
		end := len(text)
		if i+1 < len(all) {
			end = all[i+1].start
		}
		reasons[f.name] = strings.Trim(text[min(f.end, end):end], " ,\n")
	}
	return reasons
}

// sentence shortens what Envoy says of a resource that breaks the rules of its proto: it prints all of the resource, with
// the private key if it is a secret, in front of the reason.
func sentence(typeURL, text string) string {
	if at := strings.LastIndex(text, "Proto constraint validation failed"); at > 0 {
		text = text[at:]
	}
	if typeURL == resource.SecretType && (strings.Contains(text, "inline_") || strings.Contains(text, "PRIVATE KEY")) {
		return "Envoy refused the secret; its text is not shown, since it holds the secret"
	}
	return text
}
