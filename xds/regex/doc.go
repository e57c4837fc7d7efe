// Package regex turns the regular expressions of L7 rules into ones that Envoy (RE2, always a match of the whole value)
// decides as HAProxy does (PCRE, a search): over one element of a value, where a value can hold several of them, as a
// header has a list and a Cookie header has cookies, or something after it, as a path has a query.
//
//	Check(pattern)            says whether RE2 can do it, in a sentence for the user
//	Field.Search(pattern)     the user's expression, searched in each element
//	Field.Equal, Prefix, …    literals, compared with each element
//
// A user's expression is parsed alone, changed as a tree and written anew. So nothing in it, no `)|(`, no (?i), no \Q and
// no backslash at its end, can reach what is put around it.
package regex
