package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/octavia-envoy/octavia-envoy/api/wire"
	"github.com/octavia-envoy/octavia-envoy/driver/capabilities"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

func translateCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "translate -f lb.yaml",
		Short: "Print the Envoy resources of a load balancer",
		Long: `Reads a load balancer in octavia-lib's words (the provider dictionary, as YAML or JSON) and prints the xDS resources
that its amphorae would get. It needs no cloud, no database and no Envoy. Unknown keys and options that this driver does
not support are errors.`,
		Example: `  octavia-envoy translate -f lb.yaml
  cat lb.yaml | octavia-envoy translate -f -`,
		Args: cobra.NoArgs,
	}
	file := command.Flags().StringP("file", "f", "", "the load balancer's file; - reads standard input")
	_ = command.MarkFlagRequired("file")
	command.RunE = func(command *cobra.Command, _ []string) error {
		data, err := readFile(*file, command.InOrStdin())
		if err != nil {
			return err
		}
		tree, err := decodeTree(data)
		if err != nil {
			return fmt.Errorf("%s: %w", *file, err)
		}
		resources, err := translate.LoadBalancer(tree)
		if err != nil {
			return err
		}
		text, err := translate.YAML(resources)
		if err != nil {
			return err
		}
		_, err = io.WriteString(command.OutOrStdout(), text)
		return err
	}
	return command
}

func readFile(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}

// decodeTree decodes strictly and refuses what the driver would refuse.
func decodeTree(data []byte) (*model.LoadBalancer, error) {
	document, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, err
	}
	tree, err := wire.Decode(document)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, problem := range capabilities.Check(tree) {
		what := fmt.Sprintf("%s %s: ", problem.Ref.Kind, problem.Ref.ID)
		if problem.Field != "" {
			what += problem.Field + ": "
		}
		problems = append(problems, errors.New(what+problem.Message))
	}
	return tree, errors.Join(problems...)
}
