package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/driver/flavor"
)

// flavorDataLimit is how many characters of flavor data Octavia takes (octavia/api/v2/types/flavor_profile.py).
const flavorDataLimit = 4096

func flavorCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "flavor",
		Short: "What a flavor profile can say, and whether it says it right",
		Long: `A flavor profile holds what Octavia's API has no words for: HTTP/2 to members, compression, retries, access logs
and more. These commands need no controller and no cloud.`,
	}
	command.AddCommand(flavorSchemaCommand(), flavorCheckCommand())
	return command
}

func flavorSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of flavor data",
		Long: `Prints the JSON Schema (draft 2020-12) of flavor data: every key with what it does, its unit and range, its default
and what it costs. Editors and other tools can check against it.`,
		Example: `  octavia-envoy flavor schema > flavor.schema.json`,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := io.WriteString(command.OutOrStdout(), flavor.Schema())
			return err
		},
	}
}

func flavorCheckCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "check -f FILE",
		Short: "Check flavor data and print it as Octavia takes it",
		Long: `Reads flavor data, as YAML or JSON, and checks it as the controller does. Each problem is a line that names the key.
Without problems the data is printed as JSON in one line, for --flavor-data.`,
		Example: `  octavia-envoy flavor check -f web.yaml
  openstack loadbalancer flavorprofile create --name web --provider envoy \
    --flavor-data "$(octavia-envoy flavor check -f web.yaml)"`,
		Args: cobra.NoArgs,
	}
	file := command.Flags().StringP("file", "f", "", "the file with flavor data; - reads standard input")
	_ = command.MarkFlagRequired("file")
	command.RunE = func(command *cobra.Command, _ []string) error {
		data, err := readFile(*file, command.InOrStdin())
		if err != nil {
			return err
		}
		line, err := checkFlavor(data)
		if err != nil {
			return fmt.Errorf("%s:\n%w", *file, err)
		}
		_, err = fmt.Fprintf(command.OutOrStdout(), "%s\n", line)
		return err
	}
	return command
}

func checkFlavor(data []byte) ([]byte, error) {
	document, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, err
	}
	var metadata map[string]any
	if err := json.Unmarshal(document, &metadata); err != nil || metadata == nil {
		return nil, errors.New("flavor data must be an object, with a key for each setting")
	}
	_, problems := flavor.Parse(metadata)
	var sentences []error
	for _, problem := range problems {
		sentences = append(sentences, errors.New(problem.Message))
	}
	if len(document) > flavorDataLimit {
		sentences = append(sentences, fmt.Errorf("the flavor data has %d characters, and Octavia takes no more than %d",
			len(document), flavorDataLimit))
	}
	return document, errors.Join(sentences...)
}
