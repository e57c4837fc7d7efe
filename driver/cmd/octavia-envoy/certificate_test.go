package main

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

func TestCertificate(t *testing.T) {
	authority := filepath.Join(t.TempDir(), "ca")
	made, err := certs.LoadOrCreate(authority, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for command, role := range map[string]certs.Role{"operator": certs.RoleOperator, "client": certs.RoleAPI} {
		t.Run(command, func(t *testing.T) {
			out := t.TempDir()
			contains(t, mustRun(t, "certificate", command, "alice", "--ca-directory", authority, "--out", out, "--days", "2"), out)
			for name, want := range map[string]fs.FileMode{"client.key": 0o600, "client.crt": 0o644, "ca.crt": 0o644} {
				info, err := os.Stat(filepath.Join(out, name))
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode().Perm() != want {
					t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
				}
			}
			certificate := readCertificate(t, filepath.Join(out, "client.crt"))
			if got, name, err := certs.Identity(certificate); err != nil || got != role || name != "alice" {
				t.Errorf("it is the certificate of %s %s, %v", got, name, err)
			}
			if _, err := certificate.Verify(x509.VerifyOptions{
				Roots: made.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			}); err != nil {
				t.Error(err)
			}
			if left := time.Until(certificate.NotAfter); left > 48*time.Hour || left < 47*time.Hour {
				t.Errorf("valid for %s, want 2 days", left)
			}
		})
	}
}

func TestCertificateNeverMakesACA(t *testing.T) {
	folder := t.TempDir()
	if _, err := run(t, "certificate", "operator", "alice", "--ca-directory", folder, "--out", folder); err == nil ||
		!strings.Contains(err.Error(), folder) {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func readCertificate(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("%s is no PEM", path)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
