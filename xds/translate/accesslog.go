package translate

import (
	"strings"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	reqwithoutqueryv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/formatter/req_without_query/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

const (
	// AccessLogFile is where Envoy writes the access log of a load balancer whose flavor wants one, relative to Envoy's
	// working directory: the resources are the same for every amphora, and the agent says where that is.
	AccessLogFile = "access.log"
	// AccessLogRuntimeKey turns the access log off when it is 0, percent; 100 is the default. The agent does so while Envoy
	// cannot get its lines to the disk, since Envoy would keep all of them in memory.
	AccessLogRuntimeKey = "octavia.access_log"
)

// maxProjectID is the length of Octavia's column.
const maxProjectID = 36

// inspectWithin is how long the client of an HTTPS listener has to send the name that is logged, in ms. Its connection then
// goes on without: a client of TLS speaks first, and nobody else shall wait for long.
const inspectWithin = 1000

// logged reports whether the flavor wants an access log. Without, nothing of this file is in any resource.
func (t *translation) logged() bool { return t.flavor.AccessLog }

// accessLog returns the access log of a listener: a line of JSON for each request (HTTP, TERMINATED_HTTPS), connection (TCP, HTTPS) or session
// (UDP), when it ends. It depends on nothing that changes in the life of a listener, since a change would drain it: pool,
// member and policy come from the metadata of what was used and the name of the route.
func (t *translation) accessLog(listener *model.Listener) ([]*accesslogv3.AccessLog, error) {
	if !t.logged() {
		return nil, nil
	}
	fields := map[string]*structpb.Value{}
	for _, field := range AccessLogFields() {
		if format := field.format(listener.Protocol); format != "" {
			fields[field.Name] = structpb.NewStringValue(format)
		}
	}
	for name, value := range map[string]string{
		"project_id": clip(t.lb.ProjectID, maxProjectID), "loadbalancer_id": t.lb.ID,
		"listener_id": listener.ID, "listener_protocol": listener.Protocol,
	} {
		fields[name] = structpb.NewStringValue(strings.ReplaceAll(value, "%", "%%"))
	}
	format := &corev3.SubstitutionFormatString{
		Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}},
	}
	if readsRequests(listener) || listener.Protocol == model.ProtocolPrometheus {
		// Regular expressions in CEL could cut off the query, too, and cost more than all the rest of the line.
		withoutQuery, err := pack(&reqwithoutqueryv3.ReqWithoutQuery{})
		if err != nil {
			return nil, err
		}
		format.Formatters = []*corev3.TypedExtensionConfig{{Name: "envoy.formatter.req_without_query", TypedConfig: withoutQuery}}
	}
	file, err := pack(&filelogv3.FileAccessLog{
		Path: AccessLogFile, AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: format},
	})
	if err != nil {
		return nil, err
	}
	return []*accesslogv3.AccessLog{{
		Name: "envoy.access_loggers.file",
		Filter: &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_RuntimeFilter{
			RuntimeFilter: &accesslogv3.RuntimeFilter{
				RuntimeKey:               AccessLogRuntimeKey,
				PercentSampled:           &typev3.FractionalPercent{Numerator: 100},
				UseIndependentRandomness: true,
			},
		}},
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: file},
	}}, nil
}

// clip bounds a text that Octavia does not, and makes it one that a message can hold.
func clip(text string, length int) string {
	if len(text) > length {
		text = text[:length]
	}
	return strings.ToValidUTF8(text, "")
}

// logMember tells the access log which member, and of which pool, an endpoint is.
func (t *translation) logMember(endpoint *endpointv3.LbEndpoint, pool *model.Pool, member *model.Member) {
	if t.logged() {
		endpoint.Metadata = measuredMember(pool, member)
	}
}

// logPool tells the access log of HTTP which pool a cluster is of, whether or not a member can be reached. The clusters of TCP
// and UDP listeners are without: they follow the default pool, and would change with it.
func (t *translation) logPool(cluster *clusterv3.Cluster, pool *model.Pool) {
	if t.logged() {
		cluster.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			MetadataNamespace: {Fields: map[string]*structpb.Value{MetadataPool: structpb.NewStringValue(pool.ID)}},
		}}
	}
}

// logServerName reads the name that clients of an HTTPS listener ask for (SNI), for its access log and for nothing else.
func (t *translation) logServerName(message *listenerv3.Listener, listener *model.Listener) error {
	if !t.logged() || listener.Protocol != model.ProtocolHTTPS {
		return nil
	}
	if err := inspectTLS(message); err != nil {
		return err
	}
	message.ContinueOnListenerFiltersTimeout = true
	if message.GetListenerFiltersTimeout() == nil {
		message.ListenerFiltersTimeout = milliseconds(inspectWithin)
	}
	return nil
}
