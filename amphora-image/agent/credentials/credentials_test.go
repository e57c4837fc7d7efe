package credentials

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/octavia-envoy/octavia-envoy/driver/certs"
)

func issue(t *testing.T, authority *certs.Authority) *certs.Credentials {
	t.Helper()
	credentials, err := authority.AmphoraCredentials("an-amphora", 0)
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

func TestRotationIsOneStep(t *testing.T) {
	authority, err := certs.LoadOrCreate(filepath.Join(t.TempDir(), "ca"), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "tls")
	if err := Install(dir, issue(t, authority)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(KeyPath(dir)); err != nil || info.Mode() != 0o600 {
		t.Fatalf("key: %v, %v", info, err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // a reader that never sees a pair that does not fit
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, _, err := Load(dir); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	var last *certs.Credentials
	for range 50 {
		last = issue(t, authority)
		if err := Install(dir, last); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-done
	if got, err := os.ReadFile(CertificatePath(dir)); err != nil || string(got) != string(last.Certificate) {
		t.Errorf("current certificate is not the last one: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 5 { // four links and one version
		t.Errorf("left behind: %v, %v", entries, err)
	}
	// A pair that does not fit must not replace one that does.
	if err := Install(dir, &certs.Credentials{Certificate: issue(t, authority).Certificate, Key: last.Key, CA: last.CA}); err == nil {
		t.Error("a foreign key was installed")
	}
	if _, _, err := Load(dir); err != nil {
		t.Error(err)
	}
}
