// Package seal encrypts what the store may not keep in clear: the private keys of load balancers' certificates.
//
// A Keyring has one key that seals and any number that still open: so a key is replaced without a moment in which
// something cannot be read. AES-256-GCM, a random nonce each time (RFC 5116); what is sealed is bound to a name, so that a
// row cannot be given to another load balancer.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrUnknownKey is wrapped by the error of Open when the keyring lacks the key.
var ErrUnknownKey = errors.New("the key is not among those of store.key_file or store.key_ref")

// keySize is that of AES-256, in bytes.
const keySize = 32

// Keyring holds keys by their ids. It prints and logs as their ids alone.
type Keyring struct {
	// ids are in the order of the file; the first one seals.
	ids     []string
	ciphers map[string]cipher.AEAD
}

// Parse reads a key file: one key a line, an id and 32 bytes in base64, separated by blanks. The first key seals, all
// open. Empty lines and those that start with # are skipped. The payload of a secret has the same format.
//
// No error holds any part of a key, nor an id: in a line that is wrong, it may be the key.
func Parse(file []byte) (*Keyring, error) {
	ring := &Keyring{ciphers: map[string]cipher.AEAD{}}
	for i, line := range strings.Split(string(file), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("line %d: write the key's id, a blank and the key", i+1)
		}
		id := fields[0]
		if len(id) > maxID {
			return nil, fmt.Errorf("line %d: the key's id is longer than %d bytes", i+1, maxID)
		}
		if ring.ciphers[id] != nil {
			return nil, fmt.Errorf("line %d: its id is taken by a line above", i+1)
		}
		key, err := base64.StdEncoding.DecodeString(fields[1])
		if err != nil || len(key) != keySize {
			return nil, fmt.Errorf("line %d: its key is not %d bytes in base64; `octavia-envoy db new-key` prints a line", i+1, keySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if ring.ciphers[id], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		ring.ids = append(ring.ids, id)
	}
	if len(ring.ids) == 0 {
		return nil, errors.New("there is no key; `octavia-envoy db new-key` prints one")
	}
	return ring, nil
}

// maxID is what the store's column holds, in bytes.
const maxID = 64

// NewLine returns a line of a key file with a new key.
func NewLine(id string) []byte {
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	return fmt.Appendf(nil, "%s %s\n", id, base64.StdEncoding.EncodeToString(key))
}

// Active is the id of the key that seals.
func (k *Keyring) Active() string { return k.ids[0] }

// Has reports whether the keyring can open what a key sealed.
func (k *Keyring) Has(keyID string) bool { return k.ciphers[keyID] != nil }

// Seal encrypts for a name, and returns the id of the key that it used.
func (k *Keyring) Seal(name string, content []byte) (keyID string, sealed []byte) {
	return k.Active(), k.ciphers[k.Active()].Seal(nil, nil, content, []byte(name)) //nolint:gosec // it makes a random nonce itself
}

// Open decrypts what was sealed for a name. The error wraps ErrUnknownKey when the key is missing; else the bytes are not
// what was sealed for that name.
func (k *Keyring) Open(keyID, name string, sealed []byte) ([]byte, error) {
	opener := k.ciphers[keyID]
	if opener == nil {
		return nil, fmt.Errorf("key %q: %w", keyID, ErrUnknownKey)
	}
	content, err := opener.Open(nil, nil, bytes.Clone(sealed), []byte(name))
	if err != nil {
		return nil, fmt.Errorf("key %q does not open it: it is damaged, or another's", keyID)
	}
	return content, nil
}

// String returns the ids.
func (k *Keyring) String() string { return "keys " + strings.Join(k.ids, ", ") }

// GoString keeps %#v from printing keys.
func (k *Keyring) GoString() string { return k.String() }

// LogValue keeps slog from printing keys.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }
