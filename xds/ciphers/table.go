package ciphers

import "strings"

// suite is a cipher suite that a listener of Envoy 1.40 accepts, each tried alone.
type suite struct {
	// name is OpenSSL's and BoringSSL's.
	name string
	// iana is its name in the registry of TLS.
	iana string
	// keywords of ciphers(1) that select it.
	keywords []string
}

// table has all suites of TLS 1.2 and below that BoringSSL has, without those of pre-shared keys, which a load balancer
// has none of. The order is OpenSSL's for ALL: the best first.
//
// What OpenSSL has beyond: DHE, DSS, CCM, ARIA, Camellia, anonymous ones, and CBC with SHA-384.
func table() []suite {
	const (
		ecdsa = "ECDHE kECDHE EECDH kEECDH ECDSA aECDSA "
		rsa   = "ECDHE kECDHE EECDH kEECDH aRSA "
		kRSA  = "RSA kRSA aRSA "

		aes256GCM = "AESGCM AES AES256 TLSv1.2"
		aes128GCM = "AESGCM AES AES128 TLSv1.2"
		chacha20  = "CHACHA20 TLSv1.2"
		sha256    = "AES AES128 SHA256 TLSv1.2"
		aes256SHA = "AES AES256 SHA SHA1 "
		aes128SHA = "AES AES128 SHA SHA1 "
	)
	high := func(name, iana, keywords string) suite {
		return suite{name, iana, strings.Fields("ALL DEFAULT HIGH " + keywords)}
	}
	return []suite{
		high("ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ecdsa+aes256GCM),
		high("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", rsa+aes256GCM),
		high("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ecdsa+chacha20),
		high("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", rsa+chacha20),
		high("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ecdsa+aes128GCM),
		high("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", rsa+aes128GCM),
		high("ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", ecdsa+sha256),
		high("ECDHE-RSA-AES128-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", rsa+sha256),
		high("ECDHE-ECDSA-AES256-SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", ecdsa+aes256SHA+"TLSv1 TLSv1.0"),
		high("ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", rsa+aes256SHA+"TLSv1 TLSv1.0"),
		high("ECDHE-ECDSA-AES128-SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", ecdsa+aes128SHA+"TLSv1 TLSv1.0"),
		high("ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", rsa+aes128SHA+"TLSv1 TLSv1.0"),
		high("AES256-GCM-SHA384", "TLS_RSA_WITH_AES_256_GCM_SHA384", kRSA+aes256GCM),
		high("AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256", kRSA+aes128GCM),
		high("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA", kRSA+aes256SHA+"SSLv3"),
		high("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", kRSA+aes128SHA+"SSLv3"),
		// OpenSSL 3 is built without it: no keyword has it, but that of its cipher.
		{"DES-CBC3-SHA", "TLS_RSA_WITH_3DES_EDE_CBC_SHA", []string{"3DES"}},
	}
}

// tls13 reports whether a name is that of a suite of TLS 1.3 that BoringSSL has.
func tls13(name string) bool {
	switch name {
	case "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256":
		return true
	}
	return false
}
