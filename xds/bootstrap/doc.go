// Package bootstrap writes what an amphora's Envoy starts with: who it is, where its controller is and how the two prove
// themselves to each other. Everything else comes over that one stream.
//
//	Options ─► Envoy()   the bootstrap, as JSON       ─► envoy -c
//	        └► Secrets() the files that it points at  ─► written before Envoy starts, never changed afterwards
//
// The certificates themselves stay in files of their own. To rotate them, rename new ones over the old ones, all in one
// directory: Envoy watches it for renames and takes a certificate only together with the key that fits it. The stream
// that is open stays; the next connection uses the new certificate.
package bootstrap
