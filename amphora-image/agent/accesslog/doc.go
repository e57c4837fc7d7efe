// Package accesslog keeps what Envoy writes to its access log within bounds, and sends it on by syslog.
//
//	Envoy ──► access.log ── full ──► access.log.000001, .000002, … ── too many ──► deleted
//	               │                         │
//	               └───── the oldest line that was not sent ─────► sender ──► syslog receivers
//
// The files are the queue: Envoy never waits for anyone, and what a receiver has not taken when its file goes is lost and
// counted. Where the sender is in the files is in a file of its own, so that the next agent goes on from there.
//
// A file is put aside by its name; Envoy, which is told to open its log anew, writes to it until it does. So no line is
// lost, and a file has its last line when the next file is there.
package accesslog
