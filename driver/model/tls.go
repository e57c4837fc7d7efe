package model

import (
	"encoding/json"
	"log/slog"
)

// TLSContainer is a certificate with its key, as octavia-api hands it over.
//
// It never leaves the process in the clear: it encodes, prints and logs as its id alone. The store encrypts what it keeps.
type TLSContainer struct {
	// ID is the SHA-1 of the certificate, in hex.
	ID          string
	PrimaryCN   string
	Certificate string
	PrivateKey  string
	Passphrase  string
	// Intermediates are its issuers, nearest first, without the root; each is a certificate in PEM.
	Intermediates []string
	// OCSPResponse is what to staple, in DER; nil for none. It is not Octavia's: the controller fetches it (RFC 6960).
	OCSPResponse []byte
}

type tlsContainerJSON struct {
	ID            string   `json:"id"`
	PrimaryCN     string   `json:"primary_cn"`
	Certificate   string   `json:"certificate"`
	PrivateKey    string   `json:"private_key"`
	Passphrase    string   `json:"passphrase"`
	Intermediates []string `json:"intermediates"`
}

// UnmarshalJSON decodes the dictionary that octavia-api and get.sock send.
func (c *TLSContainer) UnmarshalJSON(data []byte) error {
	var decoded tlsContainerJSON
	if err := json.Unmarshal(data, &decoded); err != nil {
		return err
	}
	*c = TLSContainer{
		ID: decoded.ID, PrimaryCN: decoded.PrimaryCN, Certificate: decoded.Certificate, PrivateKey: decoded.PrivateKey,
		Passphrase: decoded.Passphrase, Intermediates: decoded.Intermediates,
	}
	return nil
}

// MarshalJSON encodes the id alone.
func (c TLSContainer) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"id": c.ID})
}

// String returns the id alone.
func (c TLSContainer) String() string { return "TLSContainer(" + c.ID + ")" }

// GoString keeps %#v from printing the key.
func (c TLSContainer) GoString() string { return c.String() }

// LogValue keeps slog from printing the key.
func (c TLSContainer) LogValue() slog.Value { return slog.StringValue(c.String()) }

// PEM is a CA bundle or a revocation list. It is public, and long: it stays out of logs and stored trees.
type PEM string

// MarshalJSON encodes null: the tree keeps the reference, not the bytes.
func (PEM) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// LogValue keeps slog from printing the whole bundle.
func (PEM) LogValue() slog.Value { return slog.StringValue("PEM") }
