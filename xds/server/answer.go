package server

import (
	"maps"
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// answer tells a watch what its Envoy lacks, and says whether there was anything. With hints only those names are looked
// at: an open watch is up to date but for them. node.mu is held.
//
// The channel never blocks: it holds two messages a type, and a type has one in it at most, or two when one was sent late.
func (st *stream) answer(typeURL string, w *watch, hints []string) bool {
	d, h := st.node.desired[typeURL], st.types[typeURL]
	if d == nil || h == nil {
		return false
	}
	resp := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: typeURL}
	if name, ok := d.nextAlone(h); ok {
		delete(h.alone, name)
		resp.Resources = []*discoveryv3.Resource{d.wire(name)}
	} else {
		bytes := 0
		for _, name := range d.lacking(h, hints) {
			// What does not fit follows after the answer to this.
			if bytes += len(d.resources[name].body.GetValue()); bytes > softLimit && len(resp.GetResources()) > 0 {
				break
			}
			resp.Resources = append(resp.Resources, d.wire(name))
		}
		resp.RemovedResources = d.toRemove(h)
	}
	first := h.wildcard && !h.greeted
	if len(resp.Resources) == 0 && len(resp.RemovedResources) == 0 && !first {
		return false
	}
	h.greeted = true
	h.queued++
	for _, res := range resp.GetResources() {
		h.told[res.GetName()] = res.GetVersion()
	}
	for _, name := range resp.GetRemovedResources() {
		delete(h.told, name)
	}
	// The version map is go-control-plane's memory of what was told; ours is in held. It must not be nil.
	w.answers <- &cache.DeltaPassthroughResponse{
		DeltaRequest: w.request, DeltaDiscoveryResponse: resp, NextVersionMap: map[string]string{},
	}
	if typeURL == resource.ClusterType {
		st.repeatEndpoints(d, resp.GetResources())
	}
	return true
}

// repeatEndpoints sends the endpoints of clusters that were just sent once more, if Envoy has them under that name. It
// does not ask for what it has, and a changed cluster that waits for them would warm until the fetch timeout, 15 s
// (https://github.com/envoyproxy/envoy/issues/13009).
func (st *stream) repeatEndpoints(d *desired, clusters []*discoveryv3.Resource) {
	h := st.types[resource.EndpointType]
	if h == nil {
		return
	}
	var hints []string
	for _, sent := range clusters {
		name := d.resources[sent.GetName()].endpoints
		if _, told := h.told[name]; told {
			delete(h.told, name)
			hints = append(hints, name)
		}
	}
	if w := st.watches[resource.EndpointType]; w != nil && len(hints) > 0 && st.answer(resource.EndpointType, w, hints) {
		delete(st.watches, resource.EndpointType)
	}
}

// nextAlone picks a resource that is to be sent in a message of its own.
func (d *desired) nextAlone(h *held) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(h.alone)) {
		if e := d.resources[name]; e != nil && h.wants(name) && h.told[name] != e.Version {
			return name, true
		}
		delete(h.alone, name)
	}
	return "", false
}

// lacking lists, in order, the resources that Envoy wants and was not told in their present version.
func (d *desired) lacking(h *held, hints []string) []string {
	var names []string
	consider := func(name string) {
		if e := d.resources[name]; e != nil && h.wants(name) && h.told[name] != e.Version {
			names = append(names, name)
		}
	}
	switch {
	case hints != nil:
		for _, name := range hints {
			consider(name)
		}
	case h.wildcard:
		for name := range d.resources {
			consider(name)
		}
	default:
		for name := range h.subscribed {
			consider(name)
		}
	}
	slices.Sort(names)
	return names
}

// toRemove lists, in order, what Envoy holds, or will when it takes what is on its way, shall hold no longer, and has not
// been told to drop.
func (d *desired) toRemove(h *held) []string {
	var names []string
	for name := range d.tombstones {
		if _, told := h.told[name]; told {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (d *desired) wire(name string) *discoveryv3.Resource {
	e := d.resources[name]
	return &discoveryv3.Resource{Name: name, Version: e.Version, Resource: e.body}
}
