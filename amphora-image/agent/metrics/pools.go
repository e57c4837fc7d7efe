package metrics

import (
	"maps"
	"slices"
	"strings"

	"github.com/octavia-envoy/octavia-envoy/amphora-image/agent/envoyadmin"
	"github.com/octavia-envoy/octavia-envoy/xds/translate"
)

// poolObjects are the pools and members of the clusters that came from the controller. Those of the bootstrap lead to the
// controller and to the agent, and are nobody's pools.
//
// The label of a pool is HAProxy's name of a backend, <pool id>:<listener id>, where the pool has a cluster for that
// listener alone. HTTP listeners share one: its label is <pool id>.
func (r *reader) poolObjects(clusters []envoyadmin.Cluster, byCluster map[string]figures) (pools, members []object) {
	elsewhere := map[string]bool{} // the pools that a listener has a cluster of for itself
	for i := range clusters {
		if pool, listener := use(&clusters[i]); listener != "" {
			elsewhere[pool] = true
		}
	}
	for i := range clusters {
		cluster := &clusters[i]
		pool, listener := use(cluster)
		if pool == "" {
			continue
		}
		known := figures{}
		maps.Copy(known, byCluster[translate.StatName(cluster.Name)])
		label := pool
		if listener != "" {
			label += ":" + listener
		} else if elsewhere[pool] && known[figureAttempts]+known[figureUnserved] == 0 {
			continue // nothing goes through the shared one, which every pool has
		}
		udp := translate.UseOfCluster(cluster.Name).UDP
		tidy(known, udp)
		hosts := make([]object, 0, len(cluster.Hosts))
		for j := range cluster.Hosts {
			host := &cluster.Hosts[j]
			count(known, host)
			if _, member, ok := translate.MemberOfEndpoint(host.Name); ok {
				hosts = append(hosts, object{labels: []string{label, member}, figures: hostFigures(host, udp)})
			}
		}
		up := len(cluster.Hosts) == 0 || known["agent.active_members"]+known["agent.backup_members"] > 0
		known.state(up)
		pools = append(pools, object{labels: []string{label}, figures: known})
		members = append(members, hosts...)
	}
	return pools, members
}

// use returns whose cluster it is; no pool when that is not known, or it is nobody's. The cluster of a TCP or UDP listener
// follows its default pool, of which only the endpoints tell.
func use(cluster *envoyadmin.Cluster) (pool, listener string) {
	if !cluster.Dynamic {
		return "", ""
	}
	use := translate.UseOfCluster(cluster.Name)
	if use.Pool != "" {
		return use.Pool, use.Listener
	}
	for i := range cluster.Hosts {
		if pool, _, ok := translate.MemberOfEndpoint(cluster.Hosts[i].Name); ok {
			return pool, use.Listener
		}
	}
	return "", ""
}

// tidy takes out what Envoy does not count for UDP, and fills up the classes of status codes: Envoy makes the counter of
// a class with the first answer of it.
func tidy(known figures, udp bool) {
	if udp {
		maps.DeleteFunc(known, func(name string, _ float64) bool {
			return !strings.HasSuffix(name, "_bytes_total")
		})
		return
	}
	classes := byClass("cluster.upstream_rq_")
	if !slices.ContainsFunc(classes, func(s Series) bool { _, has := known[s.Sum[0]]; return has }) {
		return
	}
	for _, class := range classes {
		known[class.Sum[0]] += 0
	}
}

// count adds a member to those of its pool that take traffic, if it does.
func count(known figures, host *envoyadmin.Host) {
	// Both figures are to be there with every pool that has members, or none.
	figure := "agent.active_members"
	if host.Priority > 0 {
		figure = "agent.backup_members"
	}
	known["agent.active_members"] += 0
	known["agent.backup_members"] += 0
	if !host.Failed && !host.Draining {
		known[figure]++
	}
}

func hostFigures(host *envoyadmin.Host, udp bool) figures {
	known := figures{"agent.weight": float64(host.Weight)}
	if host.Draining {
		known["agent.weight"] = 0 // Envoy knows no such weight
	}
	known.state(!host.Failed)
	if !udp {
		for name, value := range host.Stats {
			known["host."+name] = float64(value)
		}
	}
	return known
}

// state sets the figures of status.
func (f figures) state(up bool) {
	f["agent.up"], f["agent.down"] = 0, 1
	if up {
		f["agent.up"], f["agent.down"] = 1, 0
	}
}
