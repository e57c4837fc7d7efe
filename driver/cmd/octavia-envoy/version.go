package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary and of what it is built on",
		Args:  cobra.NoArgs,
		Run: func(command *cobra.Command, _ []string) {
			out := command.OutOrStdout()
			fmt.Fprintf(out, "octavia-envoy %s\n", version())
			fmt.Fprintf(out, "go %s\n", runtime.Version())
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, dependency := range info.Deps {
					switch dependency.Path {
					case "github.com/envoyproxy/go-control-plane", "github.com/envoyproxy/go-control-plane/envoy":
						fmt.Fprintf(out, "%s %s\n", dependency.Path, dependency.Version)
					}
				}
			}
		},
	}
}

// version is the module's version, or the commit that the binary was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return info.Main.Version
}
