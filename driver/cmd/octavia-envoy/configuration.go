package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/driver/config"
)

// read is config.Load, or config.Read for a command that needs a part of the configuration only.
type read func(path string, lookup func(string) (string, bool), flags map[string]string) (*config.Config, error)

// configFlags adds --config and a flag for every key, and returns what reads them.
func configFlags(command *cobra.Command, read read) func() (*config.Config, error) {
	path := command.Flags().StringP("config", "c", "",
		"configuration file (YAML); each key below is also a key of it, nested at its dots")
	values := map[string]*string{}
	for _, key := range config.Keys() {
		values[key.Path] = command.Flags().String(key.Path, "",
			fmt.Sprintf("%s (env %s, default %q)", key.Help, key.Env, key.Default))
	}
	return func() (*config.Config, error) {
		flags := map[string]string{}
		for name, value := range values {
			if command.Flags().Changed(name) {
				flags[name] = *value
			}
		}
		return read(*path, os.LookupEnv, flags)
	}
}
