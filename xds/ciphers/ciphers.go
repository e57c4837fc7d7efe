// Package ciphers turns the cipher strings of Octavia's tls_ciphers, which are OpenSSL's, into the cipher suites that an
// Envoy with BoringSSL takes.
//
// One name that BoringSSL does not know, and Octavia's own default list has six, makes Envoy refuse the whole listener; so
// each string becomes a list of plain names out of one table.
package ciphers

import (
	"errors"
	"slices"
	"strings"
)

// ErrNone says that a cipher string leaves nothing that Envoy has, for TLS 1.2 and below.
var ErrNone = errors.New("none of the ciphers is one that Envoy has")

// Selection is what a cipher string comes to.
type Selection struct {
	// Suites are the cipher suites of TLS 1.2 and below in OpenSSL's names, the most wanted first.
	Suites []string
	// TLS13 are the suites of TLS 1.3 that were asked for. BoringSSL has a fixed list of them, which cannot be changed.
	TLS13 []string
	// Dropped are the parts of the string that select nothing which Envoy has, in their order, and each once.
	Dropped []string
}

// Select reads a cipher string in the format of OpenSSL's ciphers(1): names and keywords, joined by + for "and", separated by
// colons, after !, - or + to kill, remove or move to the end. A keyword selects in the order of the table, best first.
//
// The error is ErrNone when no suite is left, and the Selection then still says why.
func Select(list string) (Selection, error) {
	var out Selection
	// killed suites never come back, whatever follows.
	var chosen, killed []string
	drop := func(term string) {
		if !slices.Contains(out.Dropped, term) {
			out.Dropped = append(out.Dropped, term)
		}
	}
	for _, term := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(": ,;", r) }) {
		operator, words := "", term
		if strings.ContainsAny(term[:1], "!-+") {
			operator, words = term[:1], term[1:]
		}
		if strings.HasPrefix(term, "@") {
			drop(term) // @STRENGTH and @SECLEVEL: BoringSSL has neither
			continue
		}
		if strings.HasPrefix(words, "TLS_") && tls13(words) {
			if operator == "" && !slices.Contains(out.TLS13, words) {
				out.TLS13 = append(out.TLS13, words)
			}
			continue
		}
		matched := match(words)
		if operator == "" && len(matched) == 0 {
			drop(term)
		}
		others := slices.DeleteFunc(slices.Clone(chosen), func(name string) bool { return slices.Contains(matched, name) })
		switch operator {
		case "!":
			killed = append(killed, matched...)
			chosen = others
		case "-":
			chosen = others
		case "+":
			chosen = append(others, slices.DeleteFunc(chosen, func(name string) bool { return !slices.Contains(matched, name) })...)
		default:
			for _, name := range matched {
				if !slices.Contains(chosen, name) && !slices.Contains(killed, name) {
					chosen = append(chosen, name)
				}
			}
		}
	}
	out.Suites = chosen
	if len(chosen) == 0 {
		return out, ErrNone
	}
	return out, nil
}

// match returns the suites that have all of some words, as their name or as a keyword, in the order of the table.
func match(words string) []string {
	var names []string
	for _, suite := range table() {
		all := true
		for word := range strings.SplitSeq(words, "+") {
			all = all && (suite.name == word || suite.iana == word || slices.Contains(suite.keywords, word))
		}
		if all {
			names = append(names, suite.name)
		}
	}
	return names
}
