// Package privatekey opens the private keys that users keep in PEM, with a passphrase or without.
//
// Envoy would open them itself, and with a wrong passphrase refuse the secret in words that no user knows, when it is too
// late to say so. Whoever reads a key opens it here, once: from then on it is a key in clear, as octavia-api hands keys
// over, which everything else treats as what it is.
//
// No error holds anything of a key or a passphrase.
package privatekey

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"strings"
)

// Sentences for users, each about "it", the certificate with its key.
var (
	// ErrNone says that there is no key.
	ErrNone = errors.New("its key is none in PEM")
	// ErrNoPassphrase says that the key is encrypted and nothing opens it.
	ErrNoPassphrase = errors.New("its key is encrypted and there is no passphrase: add private_key_passphrase to the container, " +
		"or store the key without one")
	// ErrPassphrase says that the passphrase is another key's.
	ErrPassphrase = errors.New("its key cannot be decrypted with its passphrase, which is wrong or the key damaged")
	// ErrEncryption says that the key is encrypted as nobody should any more.
	ErrEncryption = errors.New("its key is encrypted in a way that is not supported: encrypt it as openssl pkcs8 -topk8 does")
	// ErrKind says that it is a key that nobody can use here.
	ErrKind = errors.New("its key is of a kind that is not supported: use RSA or ECDSA")
)

// Encrypted reports whether a key needs a passphrase.
func Encrypted(text string) bool {
	block := find(text)
	return block != nil && (block.Type == typeEncrypted || legacy(block))
}

// Clear returns a key in clear, as Encode writes it. A passphrase that the key does not need is not looked at.
func Clear(text, passphrase string) (string, error) {
	key, err := parse(text, passphrase)
	if err != nil {
		return "", err
	}
	return Encode(key)
}

// Encode writes a key as Octavia does, byte for byte: a certificate that is read here for once, instead of by octavia-api,
// must not look like another one, which Envoys would be sent. (PrivateFormat.TraditionalOpenSSL, stripped.)
func Encode(key any) (string, error) {
	kind, encode := "PRIVATE KEY", func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }
	switch key := key.(type) {
	case *rsa.PrivateKey:
		kind, encode = "RSA PRIVATE KEY", func() ([]byte, error) { return x509.MarshalPKCS1PrivateKey(key), nil }
	case *ecdsa.PrivateKey:
		kind, encode = "EC PRIVATE KEY", func() ([]byte, error) { return x509.MarshalECPrivateKey(key) }
	}
	der, err := encode()
	if err != nil {
		return "", ErrKind
	}
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))), nil
}

const typeEncrypted = "ENCRYPTED PRIVATE KEY"

// find returns the first key of a text; before it may be others, such as EC PARAMETERS.
func find(text string) *pem.Block {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY") {
			return block
		}
	}
}

// legacy tells a key that is encrypted by its PEM's headers (RFC 1421), as openssl rsa -aes256 wrote them before OpenSSL 3.
func legacy(block *pem.Block) bool {
	return x509.IsEncryptedPEMBlock(block) //nolint:staticcheck // bad encryption, and what users have; it is undone here
}

func parse(text, passphrase string) (any, error) {
	block := find(text)
	if block == nil {
		return nil, ErrNone
	}
	der, encrypted := block.Bytes, false
	switch {
	case block.Type == typeEncrypted:
		if passphrase == "" {
			return nil, ErrNoPassphrase
		}
		opened, err := decrypt(der, passphrase)
		if err != nil {
			return nil, err
		}
		der, encrypted = opened, true
	case legacy(block):
		if passphrase == "" {
			return nil, ErrNoPassphrase
		}
		// One round of MD5: it costs nothing.
		opened, err := x509.DecryptPEMBlock(block, []byte(passphrase)) //nolint:staticcheck // as above
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, ErrPassphrase
		}
		if err != nil {
			return nil, ErrEncryption
		}
		der, encrypted = opened, true
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	// One in 256 wrong passphrases leaves a right padding: what is behind it is no key at all.
	if encrypted && !isPKCS8(der) {
		return nil, ErrPassphrase
	}
	return nil, ErrKind
}

// isPKCS8 tells a key of a kind that is unknown from rubbish (RFC 5958).
func isPKCS8(der []byte) bool {
	var info struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
		Rest      asn1.RawValue `asn1:"optional"`
	}
	_, err := asn1.Unmarshal(der, &info)
	return err == nil
}
