package envoyadmin

import "context"

// EndpointMetadata returns the texts in a namespace of the metadata of every endpoint that came by EDS, by EDS service name and
// address (host:port). Endpoints without it are left out. Envoy writes out all endpoints for it: ask only when they have
// changed.
func (c *Client) EndpointMetadata(ctx context.Context, namespace string) (map[string]map[string]map[string]string, error) {
	var answer struct {
		Configs []struct {
			Assignment struct {
				Name      string `json:"cluster_name"`
				Endpoints []struct {
					Endpoints []struct {
						Endpoint struct {
							Address address `json:"address"`
						} `json:"endpoint"`
						Metadata struct {
							Filters map[string]map[string]any `json:"filter_metadata"`
						} `json:"metadata"`
					} `json:"lb_endpoints"`
				} `json:"endpoints"`
			} `json:"endpoint_config"`
		} `json:"configs"`
	}
	if err := c.get(ctx, "/config_dump?include_eds&resource=dynamic_endpoint_configs", &answer); err != nil {
		return nil, err
	}
	services := make(map[string]map[string]map[string]string, len(answer.Configs))
	for i := range answer.Configs {
		assignment := &answer.Configs[i].Assignment
		endpoints := map[string]map[string]string{}
		for _, group := range assignment.Endpoints {
			for i := range group.Endpoints {
				endpoint := &group.Endpoints[i]
				texts := map[string]string{}
				for key, value := range endpoint.Metadata.Filters[namespace] {
					if text, ok := value.(string); ok {
						texts[key] = text
					}
				}
				if len(texts) > 0 {
					endpoints[endpoint.Endpoint.Address.String()] = texts
				}
			}
		}
		services[assignment.Name] = endpoints
	}
	return services, nil
}
