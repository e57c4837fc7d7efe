package pki

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// Locked returns the key encrypted with a passphrase by the program that users have: as `openssl pkcs8 -topk8` does with
// some more arguments, or in the traditional way.
func (c Certificate) Locked(tb testing.TB, passphrase string, more ...string) string {
	tb.Helper()
	return c.openssl(tb, append([]string{"pkcs8", "-topk8", "-passout", "pass:" + passphrase}, more...)...)
}

// LockedTraditionally returns the key encrypted as OpenSSL did before PKCS#8: "Proc-Type: 4,ENCRYPTED".
func (c Certificate) LockedTraditionally(tb testing.TB, passphrase string) string {
	tb.Helper()
	return c.openssl(tb, "pkey", "-traditional", "-aes256", "-passout", "pass:"+passphrase)
}

func (c Certificate) openssl(tb testing.TB, args ...string) string {
	tb.Helper()
	command := exec.CommandContext(tb.Context(), "openssl", args...)
	var out, problems bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(c.KeyPEM()), &out, &problems
	if err := command.Run(); err != nil {
		tb.Fatalf("openssl %v: %v: %s", args, err, problems.String())
	}
	return out.String()
}
