// Package config is the controller's one typed configuration: defaults, then the file, then the environment, then flags.
//
// Every key is a leaf of Config. The file is YAML with these keys nested; OCTAVIA_ENVOY_STORE_DSN and --store.dsn override
// store.dsn. Unknown keys are errors, and all problems are reported at once.
package config
