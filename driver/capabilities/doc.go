// Package capabilities says what this driver can serve. Its functions are pure: a tree in, problems out.
//
// Octavia's promise is that a provider either does what a user asks for or says that it does not. So whatever is not
// built here is refused, in a sentence that says what to use instead, and never ignored; and whatever octavia-api sends
// without being asked, its defaults, passes.
//
//	capabilities.go   Problem, Check, CheckPartial
//	refusals.go       how a refusal looks
//	<kind>.go         a table of what is refused on objects of that kind, and what must be right about them
//	flavor.go         metadata of flavors and availability zones
//
// To support something, delete its row in the table of its kind.
package capabilities
