// Package wire decodes the dictionaries of octavia-lib into driver/model, strictly.
//
// encoding/json alone cannot do it: model's types decode themselves (to apply Octavia's defaults), and so
// DisallowUnknownFields does not reach what is below them. Here one pass over the tokens, led by reflection over model's
// json tags, refuses what nobody would apply:
//
//   - a key that Octavia does not have: pools[0].members[2].wieght: unknown field, did you mean weight?
//   - a value of another JSON type, a number that is not whole or too large
//   - a key that comes twice in one object (RFC 8259 section 4 leaves open which one counts, so neither does)
//   - text that is not UTF-8, more than [MaxBytes], nesting below [MaxDepth], anything behind the first value
//
// Every problem of a body is reported at once, up to [MaxProblems], each with a path in the words of the sender.
//
// A missing key is octavia-lib's Unset and null is its None. On a create ([Decode], [Object]) both take Octavia's
// default. On a change ([Merge]) a missing key leaves the value as it is, and null resets it to the default.
//
// No error text holds a value of the input, ever: a body may carry private keys. Below a TLS container not even an
// unknown key is repeated.
package wire
