// Package syslog sends lines to syslog receivers as RFC 5424 has them: over TCP and TLS with octet counting (RFC 6587, RFC 5425),
// as datagrams of UDP (RFC 5426) or of a unix socket such as /dev/log.
//
// There is no queue here. Send returns when the operating system has taken the messages, or fails; syslog has no
// acknowledgement, so that what is on its way when a connection breaks is lost. Go's own log/syslog speaks only the older
// format, without TLS, and waits for as long as the receiver likes.
package syslog
