package privatekey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des" //nolint:gosec // what users have
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // within HMAC, where it is sound
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// What it costs to try a passphrase is a tenant's word, and is paid by a controller that works for all: a key that would
// take more than a second or two, or more memory than OpenSSL itself gives, is refused. OpenSSL's own default is 2,048
// rounds, and what is recommended for passwords at most 1.3 million (OWASP, 2023).
const (
	// MaxRounds are those of PBKDF2.
	MaxRounds = 2_000_000
	// maxMemory is OpenSSL's for scrypt (SCRYPT_MAX_MEM), in bytes.
	maxMemory = 32 << 20
	maxPasses = 16
)

// decrypt opens an EncryptedPrivateKeyInfo (RFC 5958) of PBES2 (RFC 8018, 6.2). The libraries for it have no limits, and to
// know what a key would cost takes reading its parameters, which is most of the work.
func decrypt(der []byte, passphrase string) ([]byte, error) {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Content   []byte
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, ErrNone
	}
	var scheme struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	if !info.Algorithm.Algorithm.Equal(oid(1, 2, 840, 113549, 1, 5, 13)) || !unmarshal(info.Algorithm, &scheme) {
		return nil, ErrEncryption
	}
	size, block := blockCipher(scheme.Cipher)
	if block == nil {
		return nil, ErrEncryption
	}
	key, err := derive(scheme.KDF, passphrase, size)
	if err != nil {
		return nil, err
	}
	decrypter, err := block(key)
	if err != nil {
		return nil, ErrEncryption
	}
	var vector []byte
	if !unmarshal(scheme.Cipher, &vector) || len(vector) != decrypter.BlockSize() {
		return nil, ErrEncryption
	}
	if len(info.Content) == 0 || len(info.Content)%decrypter.BlockSize() != 0 {
		return nil, ErrNone
	}
	open := make([]byte, len(info.Content))
	cipher.NewCBCDecrypter(decrypter, vector).CryptBlocks(open, info.Content)
	return unpad(open, decrypter.BlockSize())
}

// unpad takes the padding off (RFC 8018, 6.1.1).
func unpad(padded []byte, block int) ([]byte, error) {
	padding := int(padded[len(padded)-1])
	if padding < 1 || padding > block {
		return nil, ErrPassphrase
	}
	end := len(padded) - padding
	for _, octet := range padded[end:] {
		if int(octet) != padding {
			return nil, ErrPassphrase
		}
	}
	return padded[:end], nil
}

// blockCipher returns a cipher, in CBC mode, and the size of its keys in bytes; nil for an unknown one.
func blockCipher(algorithm pkix.AlgorithmIdentifier) (int, func([]byte) (cipher.Block, error)) {
	aesCBC := func(last int) asn1.ObjectIdentifier { return oid(2, 16, 840, 1, 101, 3, 4, 1, last) }
	switch id := algorithm.Algorithm; {
	case id.Equal(aesCBC(2)):
		return 16, aes.NewCipher
	case id.Equal(aesCBC(22)):
		return 24, aes.NewCipher
	case id.Equal(aesCBC(42)):
		return 32, aes.NewCipher
	case id.Equal(oid(1, 2, 840, 113549, 3, 7)):
		return 24, des.NewTripleDESCipher
	}
	return 0, nil
}

// derive makes a key of so many bytes from a passphrase.
func derive(algorithm pkix.AlgorithmIdentifier, passphrase string, size int) ([]byte, error) {
	switch id := algorithm.Algorithm; {
	case id.Equal(oid(1, 2, 840, 113549, 1, 5, 12)):
		return derivePBKDF2(algorithm, passphrase, size)
	case id.Equal(oid(1, 3, 6, 1, 4, 1, 11591, 4, 11)):
		return deriveScrypt(algorithm, passphrase, size)
	}
	return nil, ErrEncryption
}

// derivePBKDF2 is of RFC 8018, 5.2.
func derivePBKDF2(algorithm pkix.AlgorithmIdentifier, passphrase string, size int) ([]byte, error) {
	var parameters struct {
		Salt   []byte
		Rounds int
		Size   int                      `asn1:"optional"`
		HMAC   pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if !unmarshal(algorithm, &parameters) || parameters.Rounds < 1 || parameters.Size != 0 && parameters.Size != size {
		return nil, ErrEncryption
	}
	if parameters.Rounds > MaxRounds {
		return nil, fmt.Errorf("its key is encrypted with %d rounds of PBKDF2, and %d are the most that are taken: encrypt it with fewer",
			parameters.Rounds, MaxRounds)
	}
	newHash := hmacHash(parameters.HMAC.Algorithm)
	if newHash == nil {
		return nil, ErrEncryption
	}
	key, err := pbkdf2.Key(newHash, passphrase, parameters.Salt, parameters.Rounds, size)
	if err != nil {
		return nil, ErrEncryption
	}
	return key, nil
}

// hmacHash is the hash of a pseudo-random function; without one it is SHA-1 (RFC 8018, A.2).
func hmacHash(id asn1.ObjectIdentifier) func() hash.Hash {
	hmacWith := func(last int) asn1.ObjectIdentifier { return oid(1, 2, 840, 113549, 2, last) }
	switch {
	case len(id) == 0, id.Equal(hmacWith(7)):
		return sha1.New
	case id.Equal(hmacWith(8)):
		return sha256.New224
	case id.Equal(hmacWith(9)):
		return sha256.New
	case id.Equal(hmacWith(10)):
		return sha512.New384
	case id.Equal(hmacWith(11)):
		return sha512.New
	}
	return nil
}

// deriveScrypt is of RFC 7914, 7.
func deriveScrypt(algorithm pkix.AlgorithmIdentifier, passphrase string, size int) ([]byte, error) {
	var parameters struct {
		Salt    []byte
		N, R, P int
		Size    int `asn1:"optional"`
	}
	if !unmarshal(algorithm, &parameters) || parameters.N < 2 || parameters.R < 1 || parameters.P < 1 ||
		parameters.Size != 0 && parameters.Size != size {
		return nil, ErrEncryption
	}
	// Divided, not multiplied: the numbers may be any.
	if parameters.P > maxPasses || parameters.N > maxMemory || parameters.R > maxMemory/128/(parameters.N+parameters.P) {
		return nil, fmt.Errorf("its key is encrypted with scrypt of more than %d MiB or %d passes, which are the most that are taken: "+
			"encrypt it with fewer", maxMemory>>20, maxPasses)
	}
	key, err := scrypt.Key([]byte(passphrase), parameters.Salt, parameters.N, parameters.R, parameters.P, size)
	if err != nil {
		return nil, ErrEncryption
	}
	return key, nil
}

// unmarshal reads the parameters of an algorithm, all of them.
func unmarshal(algorithm pkix.AlgorithmIdentifier, parameters any) bool {
	rest, err := asn1.Unmarshal(algorithm.Parameters.FullBytes, parameters)
	return err == nil && len(rest) == 0
}

func oid(numbers ...int) asn1.ObjectIdentifier { return numbers }
