// Package migrations holds the versioned schema of the store, one folder a dialect.
//
// A file that was released never changes; a change is a new file, with the same number in all three folders. There are no
// "down" steps: an older program refuses a newer schema, and a restored backup is the way back.
package migrations

import "embed"

// FS holds the folders sqlite, mysql and postgres.
//
//go:embed sqlite/*.sql mysql/*.sql postgres/*.sql
var FS embed.FS
