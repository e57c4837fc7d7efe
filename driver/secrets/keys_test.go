package secrets

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/store/seal"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// TestKeysThatCannotBeRead says why, and shows nothing of what was read.
func TestKeysThatCannotBeRead(t *testing.T) {
	b := newBarbican(t)
	line := seal.NewLine("one")
	_, key, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	good := b.store("text/plain", line)
	certificate := pki.New(t, "root").Issue(pki.Options{Names: []string{"a"}})
	for name, test := range map[string]struct {
		ref    string
		status int
		want   string
		later  bool
	}{
		"not a reference":  {ref: key, want: "it is no reference to a secret of Barbican"},
		"a container":      {ref: b.contain(nil), want: "it is no reference to a secret of Barbican"},
		"gone":             {ref: "https://b/v1/secrets/" + uuid.NewString(), want: "does not exist in Barbican"},
		"no rights":        {ref: good, status: http.StatusForbidden, want: "may not read the secret " + good + ": let its user read it (openstack acl user add)"},
		"down":             {ref: good, status: http.StatusServiceUnavailable, want: "Barbican does not answer", later: true},
		"broken":           {ref: good, status: http.StatusInternalServerError, want: "Barbican does not answer", later: true},
		"empty":            {ref: b.store("", nil), want: "is empty"},
		"no keys":          {ref: b.store("text/plain", []byte("# nothing")), want: "there is no key"},
		"the key alone":    {ref: b.store("text/plain", []byte(key)), want: "line 1: write the key's id, a blank and the key"},
		"exchanged":        {ref: b.store("text/plain", []byte(key+" one")), want: "line 1: its key is not 32 bytes in base64"},
		"twice":            {ref: b.store("text/plain", slices.Concat(line, line)), want: "line 2: its id is taken by a line above"},
		"something else":   {ref: b.store("text/plain", []byte(certificate.KeyPEM())), want: "does not hold keys in the format of store.key_file"},
		"something binary": {ref: b.store("application/octet-stream", []byte{0, 1, 2, 255}), want: "does not hold keys in the format of store.key_file"},
	} {
		b.status = test.status
		ring, file, err := b.reader().Keys(t.Context(), test.ref)
		if err == nil || !strings.Contains(err.Error(), test.want) || ring != nil || file != nil || errors.Is(err, ErrUnavailable) != test.later {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
		if err != nil && (strings.Contains(err.Error(), key[:12]) || strings.Contains(err.Error(), "BEGIN") || strings.Contains(err.Error(), "MI")) {
			t.Errorf("%s: the error shows what was read: %v", name, err)
		}
	}
	b.status = 0
	if ring, file, err := b.reader().Keys(t.Context(), good); err != nil || ring.Active() != "one" || string(file) != string(line) {
		t.Errorf("the good one: %v", err)
	}
	nowhere := NewReader(func(context.Context) (*gophercloud.ServiceClient, error) {
		return nil, gophercloud.ErrUnexpectedResponseCode{Actual: http.StatusUnauthorized, Body: []byte("who are you")}
	})
	if _, _, err := nowhere.Keys(t.Context(), good); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "acl") {
		t.Errorf("Keystone refuses the login: %v", err)
	}
}

// TestKeysThatCannotBeStored: a Barbican that quotes what it was sent, and one that cannot keep a secret from others.
func TestKeysThatCannotBeStored(t *testing.T) {
	line := seal.NewLine("one")
	_, key, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.NewString()
	for name, test := range map[string]struct {
		post, put, remove int
		want              string
		deleted           bool
	}{
		"refused":             {post: http.StatusBadRequest, want: "Barbican answers 400"},
		"too large":           {post: http.StatusRequestEntityTooLarge, want: "Barbican answers 413"},
		"no rights":           {post: http.StatusForbidden, want: "it needs the role creator or admin"},
		"no ACL":              {post: http.StatusCreated, put: http.StatusForbidden, remove: http.StatusNoContent, want: "cannot be kept from the others", deleted: true},
		"no ACL, not deleted": {post: http.StatusCreated, put: http.StatusInternalServerError, remove: http.StatusInternalServerError, want: "yourself"},
		"not read back":       {post: http.StatusCreated, put: http.StatusOK, want: "does not exist in Barbican"},
	} {
		deleted := false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			status := map[string]int{http.MethodPost: test.post, http.MethodPut: test.put, http.MethodDelete: test.remove, http.MethodGet: http.StatusNotFound}[r.Method]
			deleted = deleted || r.Method == http.MethodDelete && status == http.StatusNoContent
			w.WriteHeader(status)
			if status/100 == 2 {
				_, _ = fmt.Fprintf(w, `{"secret_ref": "http://b/v1/secrets/%s", "acl_ref": "http://b/v1/secrets/%s/acl"}`, id, id)
			} else {
				_, _ = fmt.Fprintf(w, `{"description": "bad payload: %s"}`, key)
			}
		}))
		b := &barbican{Server: server}
		ref, err := b.reader().StoreKeys(t.Context(), "keys", line)
		server.Close()
		if err == nil || !strings.Contains(err.Error(), test.want) || ref != "" || deleted != test.deleted {
			t.Errorf("%s: %q, %v; want %q; deleted %t", name, ref, err, test.want, deleted)
		}
		if err != nil && (strings.Contains(err.Error(), key[:12]) || strings.Contains(err.Error(), string(raw))) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	if _, err := newBarbican(t).reader().StoreKeys(t.Context(), "keys", []byte("x")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("what is no key: %v", err)
	}
}
