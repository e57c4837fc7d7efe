package translate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// YAML returns all resources as YAML documents, one a type, headed by its file name: what the golden files hold. Keys and
// resources are sorted, so that two of them compare line by line. Secrets show their names alone.
func YAML(res *Resources) (string, error) {
	files, err := yamlFiles(res)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&text, "---\n# %s\n%s", name, files[name])
	}
	return text.String(), nil
}

// yamlFiles returns a list of resources for each type that has any, by file name.
func yamlFiles(res *Resources) (map[string][]byte, error) {
	files := map[string][]byte{}
	for typeURL, name := range map[string]string{
		resourcev3.ListenerType: "listeners.yaml",
		resourcev3.RouteType:    "routes.yaml",
		resourcev3.ClusterType:  "clusters.yaml",
		resourcev3.EndpointType: "endpoints.yaml",
		resourcev3.SecretType:   "secrets.yaml",
	} {
		resources := res.All(typeURL)
		if len(resources) == 0 {
			continue
		}
		list := make([]json.RawMessage, 0, len(resources))
		for _, key := range slices.Sorted(maps.Keys(resources)) {
			document, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(redacted(resources[key]))
			if err != nil {
				return nil, fmt.Errorf("write %s as JSON: %w", key, err)
			}
			list = append(list, document)
		}
		document, err := json.Marshal(list)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", name, err)
		}
		text, err := yaml.JSONToYAML(escaped(document))
		if err != nil {
			return nil, fmt.Errorf("write %s as YAML: %w", name, err)
		}
		files[name] = bytes.TrimLeft(text, "\n")
	}
	return files, nil
}

// redacted keeps private keys out of what is printed.
func redacted(message proto.Message) proto.Message {
	if secret, ok := message.(*tlsv3.Secret); ok {
		return &tlsv3.Secret{Name: secret.GetName()}
	}
	return message
}

// escaped writes the characters by their numbers that JSON allows in a string and YAML nowhere: DEL and C1.
func escaped(document []byte) []byte {
	var text bytes.Buffer
	for _, char := range string(document) {
		if char >= 0x7f && char <= 0x9f || char == 0xfffe || char == 0xffff {
			fmt.Fprintf(&text, `\u%04x`, char)
			continue
		}
		text.WriteRune(char)
	}
	return text.Bytes()
}
