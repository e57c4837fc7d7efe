package privatekey

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

const passphrase = "a pässphrase of its own"

// openssl runs the program that users have.
func openssl(t testing.TB, input string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "openssl", args...)
	var out, problems bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &problems
	if err := command.Run(); err != nil {
		t.Fatalf("openssl %v: %v: %s", args, err, problems.String())
	}
	return out.String()
}

func keys(t testing.TB) map[string]pki.Certificate {
	authority := pki.New(t, "root")
	return map[string]pki.Certificate{
		"RSA":   authority.Issue(pki.Options{Names: []string{"a"}, RSA: 2048}),
		"ECDSA": authority.Issue(pki.Options{Names: []string{"a"}}),
	}
}

// locks are all that openssl has to encrypt a key with a passphrase, and that is not long broken.
func locks() map[string][]string {
	pkcs8 := func(more ...string) []string {
		return append([]string{"pkcs8", "-topk8", "-passout", "pass:" + passphrase}, more...)
	}
	return map[string][]string{
		"default":     pkcs8(),
		"scrypt":      pkcs8("-scrypt"),
		"strong":      pkcs8("-iter", "600000"),
		"AES-128":     pkcs8("-v2", "aes-128-cbc"),
		"AES-192":     pkcs8("-v2", "aes-192-cbc"),
		"3DES":        pkcs8("-v2", "des3"),
		"SHA-1":       pkcs8("-v2prf", "hmacWithSHA1"),
		"SHA-224":     pkcs8("-v2prf", "hmacWithSHA224"),
		"SHA-384":     pkcs8("-v2prf", "hmacWithSHA384"),
		"SHA-512":     pkcs8("-v2prf", "hmacWithSHA512"),
		"traditional": {"pkey", "-traditional", "-aes256", "-passout", "pass:" + passphrase},
		"trad. 3DES":  {"pkey", "-traditional", "-des3", "-passout", "pass:" + passphrase},
	}
}

// TestClear opens what openssl has encrypted in all its ways, and gets the same text each time.
func TestClear(t *testing.T) {
	for kind, certificate := range keys(t) {
		want, err := Encode(certificate.Key)
		if err != nil {
			t.Fatal(err)
		}
		for _, clear := range []string{certificate.KeyPEM(), want, openssl(t, certificate.KeyPEM(), "pkey", "-traditional")} {
			if got, err := Clear(clear, ""); err != nil || got != want || Encrypted(clear) {
				t.Errorf("%s in clear: %v, the same %t", kind, err, got == want)
			}
			if got, err := Clear(clear, "needless"); err != nil || got != want {
				t.Errorf("%s in clear with a passphrase: %v", kind, err)
			}
		}
		for how, args := range locks() {
			locked := openssl(t, certificate.KeyPEM(), args...)
			if got, err := Clear(locked, passphrase); err != nil || got != want || !Encrypted(locked) {
				t.Errorf("%s, %s: %v, the same %t", kind, how, err, got == want)
			}
			if how == "strong" {
				continue // a few are enough
			}
			for range 3 {
				if _, err := Clear(locked, passphrase+rand.Text()); !errors.Is(err, ErrPassphrase) {
					t.Errorf("%s, %s, a wrong passphrase: %v", kind, how, err)
				}
			}
			if _, err := Clear(locked, ""); !errors.Is(err, ErrNoPassphrase) {
				t.Errorf("%s, %s, no passphrase: %v", kind, how, err)
			}
		}
	}
}

// TestWrongPassphrases has so many that some leave a right padding.
func TestWrongPassphrases(t *testing.T) {
	certificate := keys(t)["ECDSA"]
	for _, locked := range []string{
		openssl(t, certificate.KeyPEM(), "pkcs8", "-topk8", "-iter", "1", "-passout", "pass:"+passphrase),
		openssl(t, certificate.KeyPEM(), locks()["traditional"]...),
	} {
		for range 3000 {
			if _, err := Clear(locked, rand.Text()); !errors.Is(err, ErrPassphrase) {
				t.Fatal(err)
			}
		}
	}
}

// TestParameters has openssl ask for more than a controller gives, for what is broken, and for what is none.
func TestParameters(t *testing.T) {
	certificate := keys(t)["ECDSA"]
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(edwards)
	if err != nil {
		t.Fatal(err)
	}
	x448 := openssl(t, "", "genpkey", "-algorithm", "X448")
	lock := func(key string, more ...string) string {
		return openssl(t, key, append([]string{"pkcs8", "-topk8", "-passout", "pass:" + passphrase}, more...)...)
	}
	damaged, _ := pem.Decode([]byte(lock(certificate.KeyPEM())))
	damaged.Bytes[len(damaged.Bytes)-1] ^= 1
	for name, test := range map[string]struct {
		key, want string
	}{
		"as many rounds as possible": {key: lock(certificate.KeyPEM(), "-iter", "2000000")},
		"one too many":               {lock(certificate.KeyPEM(), "-iter", "2000001"), "with 2000001 rounds of PBKDF2, and 2000000 are the most"},
		"rounds for ever":            {manyRounds(t, lock(certificate.KeyPEM())), "with 2147483647 rounds of PBKDF2"},
		"scrypt, more passes":        {lock(certificate.KeyPEM(), "-scrypt", "-scrypt_N", "1024", "-scrypt_p", "17"), "with scrypt of more than 32 MiB or 16 passes"},
		"scrypt, more memory":        {manyBlocks(t, lock(certificate.KeyPEM(), "-scrypt")), "with scrypt of more than 32 MiB"},
		"scrypt, most passes":        {key: lock(certificate.KeyPEM(), "-scrypt", "-scrypt_N", "1024", "-scrypt_p", "16")},
		"PKCS#5 version 1":           {lock(certificate.KeyPEM(), "-v1", "PBE-SHA1-3DES"), "encrypted in a way that is not supported"},
		"another cipher":             {lock(certificate.KeyPEM(), "-v2", "camellia-256-cbc"), "encrypted in a way that is not supported"},
		"damaged":                    {string(pem.EncodeToMemory(damaged)), "which is wrong or the key damaged"},
		"no PEM":                     {"key", "none in PEM"},
		"a certificate":              {certificate.PEM(), "none in PEM"},
		"empty":                      {"-----BEGIN ENCRYPTED PRIVATE KEY-----\n-----END ENCRYPTED PRIVATE KEY-----\n", "none in PEM"},
		"X448":                       {x448, "of a kind that is not supported"},
		"X448, locked":               {lock(x448), "of a kind that is not supported"},
		"Ed25519":                    {key: lock(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))},
		"rubbish":                    {"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "of a kind that is not supported"},
		"unknown headers": {
			"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: ROT13,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n",
			"encrypted in a way that is not supported",
		},
	} {
		got, err := Clear(test.key, passphrase)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) || got != "" {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), "BEGIN") || strings.Contains(err.Error(), passphrase)) {
			t.Errorf("%s: the error shows what was read: %v", name, err)
		}
	}
}

// manyRounds asks for more than openssl itself would do in a test's time.
func manyRounds(t *testing.T, locked string) string {
	t.Helper()
	return tamper(t, locked, func(parameters []byte) any {
		var p struct {
			Salt   []byte
			Rounds int
			HMAC   pkix.AlgorithmIdentifier
		}
		mustUnmarshal(t, parameters, &p)
		p.Rounds = 1<<31 - 1
		return p
	})
}

// manyBlocks asks for 16 GiB.
func manyBlocks(t *testing.T, locked string) string {
	t.Helper()
	return tamper(t, locked, func(parameters []byte) any {
		var p struct {
			Salt    []byte
			N, R, P int
		}
		mustUnmarshal(t, parameters, &p)
		p.N = 1 << 24
		return p
	})
}

// tamper changes the parameters of the function that derives a key.
func tamper(t *testing.T, locked string, change func(parameters []byte) any) string {
	t.Helper()
	block, _ := pem.Decode([]byte(locked))
	var info struct {
		Algorithm struct {
			ID     asn1.ObjectIdentifier
			Scheme struct{ KDF, Cipher pkix.AlgorithmIdentifier }
		}
		Content []byte
	}
	mustUnmarshal(t, block.Bytes, &info)
	parameters, err := asn1.Marshal(change(info.Algorithm.Scheme.KDF.Parameters.FullBytes))
	if err != nil {
		t.Fatal(err)
	}
	info.Algorithm.Scheme.KDF.Parameters = asn1.RawValue{FullBytes: parameters}
	der, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}))
}

func mustUnmarshal(t *testing.T, der []byte, into any) {
	t.Helper()
	if rest, err := asn1.Unmarshal(der, into); err != nil || len(rest) > 0 {
		t.Fatalf("%v, %d bytes are left", err, len(rest))
	}
}

// FuzzClear has anything for a key: nothing takes long, or panics, and what opens can be used.
func FuzzClear(f *testing.F) {
	certificate := keys(f)["ECDSA"]
	for how, args := range locks() {
		if how == "strong" {
			continue // what is made of it would take most of the time
		}
		block, _ := pem.Decode([]byte(openssl(f, certificate.KeyPEM(), args...)))
		if block.Type == typeEncrypted {
			f.Add(block.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		locked := string(pem.EncodeToMemory(&pem.Block{Type: typeEncrypted, Bytes: der}))
		clear, err := Clear(locked, passphrase)
		if err != nil {
			return
		}
		key, err := parse(clear, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := key.(crypto.PrivateKey); !ok {
			t.Errorf("a %T", key)
		}
	})
}
