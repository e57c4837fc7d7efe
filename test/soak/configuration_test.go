package soak

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
	"github.com/octavia-envoy/octavia-envoy/xds/server"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// equal fails the test unless what Envoy holds becomes, resource by resource, what the tree in Octavia is translated to.
func (k *soak) equal() {
	k.t.Helper()
	resources, err := translate.LoadBalancer(k.w.tree(k.lb))
	must(k.t, err)
	a := k.w.amphoraOf(k.lb)
	testkit.Eventually(k.t, func() error {
		if err := a.quiet(); err != nil {
			return err
		}
		return errors.Join(a.holds(resources), a.spreads(resources))
	})
}

// holds compares listeners, clusters, routes by their content, and secrets by their version, which is the hash of theirs: a
// dump is without keys.
func (a *machine) holds(want *translate.Resources) error {
	text, err := a.admin("/config_dump")
	if err != nil {
		return err
	}
	dump := &adminv3.ConfigDump{}
	if err := protojson.Unmarshal([]byte(text), dump); err != nil {
		return err
	}
	got := map[string]map[string]string{resource.ListenerType: {}, resource.RouteType: {}, resource.ClusterType: {}, resource.SecretType: {}}
	for _, part := range dump.GetConfigs() {
		if err := dumped(part, got); err != nil {
			return err
		}
	}
	for typeURL := range got {
		expected := map[string]string{}
		for name, message := range want.All(typeURL) {
			if expected[name], err = content(typeURL, message); err != nil {
				return err
			}
		}
		if diff := cmp.Diff(expected, got[typeURL]); diff != "" {
			return fmt.Errorf("%ss that Envoy holds (-want +got):\n%s", server.Kind(typeURL), diff)
		}
	}
	return nil
}

// content is what of a resource is compared.
func content(typeURL string, message proto.Message) (string, error) {
	if typeURL == resource.SecretType {
		held, err := server.NewResource(typeURL, message)
		if err != nil {
			return "", err
		}
		return held.Version, nil
	}
	// Packed and unpacked, as that of Envoy: the text is then the same for the same content.
	packed, err := anypb.New(message)
	if err != nil {
		return "", err
	}
	return unpacked(packed)
}

func unpacked(body *anypb.Any) (string, error) {
	message, err := body.UnmarshalNew()
	if err != nil {
		return "", err
	}
	// Its spaces are random by process, not by call.
	return prototext.MarshalOptions{Multiline: true}.Format(message), nil
}

// dumped adds what a part of a dump has.
func dumped(part *anypb.Any, got map[string]map[string]string) error {
	message, err := part.UnmarshalNew()
	if err != nil {
		return err
	}
	add := func(typeURL string, body *anypb.Any) error {
		message, err := body.UnmarshalNew()
		if err != nil {
			return err
		}
		got[typeURL][message.(interface{ GetName() string }).GetName()], err = unpacked(body)
		return err
	}
	var errs []error
	switch config := message.(type) {
	case *adminv3.ListenersConfigDump:
		for _, l := range config.GetDynamicListeners() {
			if l.GetErrorState() != nil || l.GetWarmingState() != nil || l.GetDrainingState() != nil || l.GetActiveState() == nil {
				return fmt.Errorf("listener %s is not only active: %v", l.GetName(), l.GetErrorState().GetDetails())
			}
			errs = append(errs, add(resource.ListenerType, l.GetActiveState().GetListener()))
		}
	case *adminv3.ClustersConfigDump:
		if n := len(config.GetDynamicWarmingClusters()); n > 0 {
			return fmt.Errorf("%d clusters are warming", n)
		}
		for _, c := range config.GetDynamicActiveClusters() {
			errs = append(errs, add(resource.ClusterType, c.GetCluster()))
		}
	case *adminv3.RoutesConfigDump:
		for _, r := range config.GetDynamicRouteConfigs() {
			errs = append(errs, add(resource.RouteType, r.GetRouteConfig()))
		}
	case *adminv3.SecretsConfigDump:
		if n := len(config.GetDynamicWarmingSecrets()); n > 0 {
			return fmt.Errorf("%d secrets are missing", n)
		}
		for _, s := range config.GetDynamicActiveSecrets() {
			if s.GetVersionInfo() != "" { // those of the bootstrap have none
				got[resource.SecretType][s.GetName()] = s.GetVersionInfo()
			}
		}
	}
	return errors.Join(errs...)
}

// spreads compares the endpoints of each cluster: where they are, what weight and priority they have, and whether they drain.
func (a *machine) spreads(want *translate.Resources) error {
	expected := map[string]map[string]string{}
	for name, cluster := range want.Clusters {
		service := cluster.GetEdsClusterConfig().GetServiceName()
		assignment := want.Endpoints[service]
		if assignment == nil {
			continue
		}
		expected[name] = map[string]string{}
		for _, locality := range assignment.GetEndpoints() {
			for _, e := range locality.GetLbEndpoints() {
				address := e.GetEndpoint().GetAddress().GetSocketAddress()
				at := net.JoinHostPort(address.GetAddress(), strconv.Itoa(int(address.GetPortValue())))
				expected[name][at] = endpointText(max(e.GetLoadBalancingWeight().GetValue(), 1), locality.GetPriority(),
					e.GetHealthStatus() == corev3.HealthStatus_DRAINING)
			}
		}
	}
	clusters, err := envoyadmin.New(a.socket()).Clusters(context.Background())
	if err != nil {
		return err
	}
	got := map[string]map[string]string{}
	for _, cluster := range clusters {
		if !cluster.Dynamic || expected[cluster.Name] == nil {
			continue
		}
		got[cluster.Name] = map[string]string{}
		for _, host := range cluster.Hosts {
			got[cluster.Name][host.Address] = endpointText(host.Weight, host.Priority, host.Draining)
		}
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		return fmt.Errorf("endpoints (-want +got):\n%s", diff)
	}
	return nil
}

func endpointText(weight, priority uint32, draining bool) string {
	return fmt.Sprintf("weight %d, priority %d, draining %t", weight, priority, draining)
}

// stateful are statuses by object, for messages.
type stateful map[string]model.OperatingStatus

// true tells whether Octavia knows of each object what holds: ACTIVE, and operating as operating says.
func (k *soak) told() {
	k.t.Helper()
	testkit.Eventually(k.t, func() error {
		k.w.mu.Lock()
		defer k.w.mu.Unlock()
		r := k.w.lbs[k.lb]
		expected := operating(r.tree)
		got := stateful{}
		for ref, status := range r.statuses {
			if status.provisioning != model.ProvisioningActive {
				return fmt.Errorf("%s %s is %s", ref.Kind, ref.ID, status.provisioning)
			}
			got[string(ref.Kind)+" "+ref.ID] = status.operating
		}
		if diff := cmp.Diff(expected, got); diff != "" {
			return fmt.Errorf("operating statuses in Octavia (-want +got):\n%s", diff)
		}
		return nil
	})
}

// operating is how everything operates where all members are there and answer.
func operating(tree *model.LoadBalancer) stateful {
	all := stateful{}
	set := func(kind model.Kind, id string, up bool) {
		all[string(kind)+" "+id] = model.OperatingOffline
		if up {
			all[string(kind)+" "+id] = model.OperatingOnline
		}
	}
	set(model.KindLoadBalancer, tree.ID, true)
	serves := map[string]bool{}
	for _, l := range tree.Listeners {
		set(model.KindListener, l.ID, l.AdminStateUp)
		serves[l.DefaultPoolID] = serves[l.DefaultPoolID] || l.AdminStateUp
		for _, p := range l.L7Policies {
			set(model.KindL7Policy, p.ID, p.AdminStateUp)
			for _, r := range p.Rules {
				set(model.KindL7Rule, r.ID, r.AdminStateUp)
			}
			serves[p.RedirectPoolID] = serves[p.RedirectPoolID] || l.AdminStateUp && p.AdminStateUp && len(p.Rules) > 0
		}
	}
	for _, p := range tree.Pools {
		served := p.AdminStateUp && serves[p.ID]
		working := 0
		for _, m := range p.Members {
			status := memberStatus(&p, &m, served)
			all[string(model.KindMember)+" "+m.ID] = status
			if status == model.OperatingOnline || status == model.OperatingNoMonitor {
				working++
			}
		}
		set(model.KindPool, p.ID, served)
		if served && working == 0 && len(p.Members) > 0 {
			all[string(model.KindPool)+" "+p.ID] = model.OperatingError
		}
		if p.HealthMonitor != nil {
			set(model.KindHealthMonitor, p.HealthMonitor.ID, p.HealthMonitor.AdminStateUp)
		}
	}
	return all
}

func memberStatus(p *model.Pool, m *model.Member, served bool) model.OperatingStatus {
	monitored := p.HealthMonitor != nil && p.HealthMonitor.AdminStateUp
	switch {
	case !m.AdminStateUp:
		return model.OperatingOffline
	case m.Weight == 0:
		return model.OperatingDraining
	case !monitored:
		return model.OperatingNoMonitor
	case !served:
		return model.OperatingOffline
	}
	return model.OperatingOnline
}
