package local

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// accessLogDir is where an amphora's access log is.
func (c *Compute) accessLogDir(id string) string {
	if c.options.AccessLogDir == "" {
		return filepath.Join(c.stateDir(id), "log")
	}
	return filepath.Join(c.options.AccessLogDir, id)
}

// ensureAccessLogDir makes the folder of an access log, for root and the group that may read it: the lines are the users'.
func (c *Compute) ensureAccessLogDir(id string) error {
	dir := c.accessLogDir(id)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // what is below is for few
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if c.options.AccessLogGroup == "" {
		return nil
	}
	group, err := user.LookupGroup(c.options.AccessLogGroup)
	if err != nil {
		return fmt.Errorf("group of the access log: %w", err)
	}
	number, err := strconv.Atoi(group.Gid)
	if err != nil {
		return fmt.Errorf("group of the access log: %w", err)
	}
	return os.Chown(dir, -1, number)
}
