package secrets

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/octavia-envoy/octavia-envoy/xds/privatekey"
)

// maxDepth is more than what is in a PKCS#12 bundle has, certificates with all that is in them included.
const maxDepth = 48

// checkRounds looks for how often a bundle has its password hashed, which is what its user says: it bounds the time that
// decoding it takes. The numbers are in the clear, as parameters of algorithms (a salt and a number, RFC 7292, C, and RFC 8018,
// A.2) and of the MAC (a digest, a salt and a number, RFC 7292, 4). One that is itself encrypted is not seen: nobody puts a
// key into what is encrypted already, and octavia-api, which reads the same bundle first, has no limits at all.
func checkRounds(der []byte, depth int) error {
	if depth > maxDepth {
		return errors.New("it is no PKCS#12 bundle: it is nested too deeply")
	}
	var before []int // the tags of the values before, of the same sequence
	for len(der) > 0 {
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(der, &value)
		if err != nil {
			return nil //nolint:nilerr // bytes that mean something else; what is no bundle is found out by who decodes it
		}
		der = rest
		tag := value.Tag
		if value.Class != asn1.ClassUniversal {
			tag = -1
		}
		n := len(before)
		salted := n > 0 && before[n-1] == asn1.TagOctetString && (n == 1 || n == 2 && before[0] == asn1.TagSequence)
		if tag == asn1.TagInteger && salted {
			rounds := new(big.Int).SetBytes(value.Bytes)
			if rounds.Cmp(big.NewInt(privatekey.MaxRounds)) > 0 {
				return fmt.Errorf("its password is hashed %s times, and %d are the most that are taken: store one with fewer iterations",
					short(rounds), privatekey.MaxRounds)
			}
		}
		before = append(before, tag)
		if value.IsCompound || tag == asn1.TagOctetString {
			if err := checkRounds(value.Bytes, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// short keeps a number that fills a bundle out of a sentence.
func short(number *big.Int) string {
	if number.BitLen() > 64 {
		return "more than 2^64"
	}
	return number.String()
}
