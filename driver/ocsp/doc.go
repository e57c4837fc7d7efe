// Package ocsp keeps the responses that are stapled to the certificates of load balancers (RFC 6960, RFC 6066 section 8).
//
//	tree ──Fill──► tree with responses ──► xds/translate ──► Secret ──► Envoy staples
//	         │ watches each certificate
//	         ▼
//	       Run: responder ──► checked ──► store ──► Changed(load balancer) ──► reconcile
//
// Fill never waits for the network: it takes what the store has. A response that comes later is a refresh of the load
// balancer, and a push of one Secret. A responder that is down, slow, late or wrong takes nothing away from a listener: the
// last good response stays until it is replaced, and Envoy does not staple what is out of date. Only a certificate with the
// must-staple extension (RFC 7633) is not served before there is a response; package translate sees to that.
//
// The responder's URL is in the certificate, and the certificate is a tenant's: see Guard for where requests may go.
package ocsp
