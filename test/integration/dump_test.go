package integration

import (
	"fmt"
	"maps"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// dumped are the versions of what Envoy serves with, by kind and name, and what is not as it should be: errors, and what is
// still warming or draining. Secrets are without their content in a dump; their versions are not.
func (e *envoy) dumped() (map[string]string, error) {
	text, err := e.get(e.t.Context(), "/config_dump")
	if err != nil {
		return nil, err
	}
	dump := &adminv3.ConfigDump{}
	if err := protojson.Unmarshal([]byte(text), dump); err != nil {
		return nil, err
	}
	versions := map[string]string{}
	named := func(body interface{ UnmarshalNew() (proto.Message, error) }) (string, error) {
		message, err := body.UnmarshalNew()
		if err != nil {
			return "", err
		}
		return message.(interface{ GetName() string }).GetName(), nil
	}
	for _, part := range dump.GetConfigs() {
		message, err := part.UnmarshalNew()
		if err != nil {
			return nil, err
		}
		switch config := message.(type) {
		case *adminv3.ListenersConfigDump:
			for _, l := range config.GetDynamicListeners() {
				if l.GetErrorState() != nil || l.GetWarmingState() != nil || l.GetActiveState() == nil {
					return nil, fmt.Errorf("listener %s is not only active: %v", l.GetName(), l.GetErrorState())
				}
				// Not its version_info: a listener that was changed in place has that of the one that it was made from
				// (ListenerImpl::newListenerWithFilterChain, Envoy 1.40). What it holds tells.
				body, err := l.GetActiveState().GetListener().UnmarshalNew()
				if err != nil {
					return nil, err
				}
				res, err := server.NewResource(resource.ListenerType, body)
				if err != nil {
					return nil, err
				}
				versions["listener "+l.GetName()] = res.Version
			}
		case *adminv3.ClustersConfigDump:
			if n := len(config.GetDynamicWarmingClusters()); n > 0 {
				return nil, fmt.Errorf("%d clusters are warming", n)
			}
			for _, c := range config.GetDynamicActiveClusters() {
				name, err := named(c.GetCluster())
				if err != nil {
					return nil, err
				}
				versions["cluster "+name] = c.GetVersionInfo()
			}
		case *adminv3.RoutesConfigDump:
			for _, r := range config.GetDynamicRouteConfigs() {
				name, err := named(r.GetRouteConfig())
				if err != nil {
					return nil, err
				}
				versions["route "+name] = r.GetVersionInfo()
			}
		case *adminv3.SecretsConfigDump:
			if n := len(config.GetDynamicWarmingSecrets()); n > 0 {
				return nil, fmt.Errorf("%d secrets are missing", n)
			}
			for _, s := range config.GetDynamicActiveSecrets() {
				versions["secret "+s.GetName()] = s.GetVersionInfo()
			}
		}
	}
	return versions, nil
}

// holds returns a difference between what Envoy serves with and resources; "" when there is none. Envoy's dump has no
// endpoints' versions: those are what it acknowledged.
func (e *envoy) holds(c *controller, node string, resources *translate.Resources) (string, error) {
	got, err := e.dumped()
	if err != nil {
		return "", err
	}
	maps.DeleteFunc(got, func(name, version string) bool { return strings.HasPrefix(name, "secret ") && version == "" }) // the bootstrap's
	want := map[string]string{}
	for _, typeURL := range translate.TypeURLs() {
		for name, message := range resources.All(typeURL) {
			res, err := server.NewResource(typeURL, message)
			if err != nil {
				return "", err
			}
			want[server.Kind(typeURL)+" "+name] = res.Version
		}
	}
	for name, version := range c.server.Held(node, resource.EndpointType) {
		got["endpoint "+name] = version
	}
	diff := cmp.Diff(want, got)
	if diff != "" {
		diff += fmt.Sprintf("acknowledged: %v", c.server.Held(node, resource.ListenerType))
		if text, err := e.get(e.t.Context(), "/config_dump?resource=dynamic_listeners"); err == nil {
			diff += "\nEnvoy's listeners: " + text
		}
	}
	return diff, nil
}
