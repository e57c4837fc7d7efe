package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/driver/config"
)

// configFlags adds --config and a flag for every key, and returns what loads them.
func configFlags(command *cobra.Command) func() (*config.Config, error) {
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
		return config.Load(*path, os.LookupEnv, flags)
	}
}
