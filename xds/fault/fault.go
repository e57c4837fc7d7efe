// Package fault spoils resources so that Envoy refuses them. It exists for the tests of what happens then: nothing that
// Octavia's users can ask for should ever be refused by Envoy itself.
package fault

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// NACKListener returns a function that gives the listeners of that name an extension that no Envoy has.
func NACKListener(name string) func(*model.LoadBalancer, *translate.Resources) {
	return func(tree *model.LoadBalancer, resources *translate.Resources) {
		for _, listener := range tree.Listeners {
			if spoiled := resources.Listeners[listener.ID]; listener.Name == name && spoiled != nil {
				spoiled.AccessLog = append(spoiled.AccessLog, &accesslogv3.AccessLog{
					Name: "octavia-envoy.fault",
					ConfigType: &accesslogv3.AccessLog_TypedConfig{
						TypedConfig: &anypb.Any{TypeUrl: "type.googleapis.com/octaviaenvoy.Fault"},
					},
				})
			}
		}
	}
}
