package main

import (
	"net"
	"strconv"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/status"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// showHealth adds what an amphora sees of the members and listeners that there are, in the order of the tree; without detail
// only the members that are down.
func showHealth(shown *api.AmphoraStatus, stored store.AmphoraHealth, tree *model.LoadBalancer, detail bool) {
	view, err := status.DecodeView(stored.View)
	if err != nil {
		return // nothing was said yet
	}
	for _, pool := range tree.Pools {
		for _, member := range pool.Members {
			seen, is := view.Members[member.ID]
			if !is || !detail && seen.State != status.MemberDown {
				continue
			}
			shown.Members = append(shown.Members, api.MemberStatus{
				ID: member.ID, PoolID: pool.ID, Name: member.Name,
				Address: net.JoinHostPort(member.Address, strconv.Itoa(member.ProtocolPort)),
				State:   string(seen.State), Failure: seen.Failure, Since: seen.Since,
			})
		}
	}
	for _, listener := range tree.Listeners {
		if view.Listeners[listener.ID].Full {
			shown.FullListeners = append(shown.FullListeners, listener.ID)
		}
	}
}
