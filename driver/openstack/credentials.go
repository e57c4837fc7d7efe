package openstack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Credentials say who the controller is to Keystone, and where Keystone is.
type Credentials struct {
	// AuthURL is Keystone's, version 3.
	AuthURL  string
	Username string
	// PasswordFile holds the password; its last newline does not count. It is read at each login, so that the password can
	// be changed while the controller runs.
	PasswordFile      string
	ProjectName       string
	UserDomainName    string
	ProjectDomainName string
	// Region is empty for the only one.
	Region string
	// Interface is public, internal or admin; empty is public.
	Interface string
	// CAFile holds the authorities of https endpoints, PEM; empty is the system's.
	CAFile string
}

// String names the user, without anything that helps to be that user.
func (c Credentials) String() string {
	return fmt.Sprintf("%s@%s at %s", c.Username, c.ProjectName, c.AuthURL)
}

func (c Credentials) password() (string, error) {
	data, err := os.ReadFile(filepath.Clean(c.PasswordFile))
	return strings.TrimRight(string(data), "\r\n"), err
}
