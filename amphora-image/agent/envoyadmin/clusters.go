package envoyadmin

import (
	"context"
	"net"
	"strconv"
)

// Cluster is one of Envoy's clusters with its hosts (envoy.admin.v3.ClusterStatus).
type Cluster struct {
	Name string
	// Dynamic says that it came from the controller, and not from the bootstrap.
	Dynamic bool
	Hosts   []Host
}

// Host is one endpoint of a cluster (envoy.admin.v3.HostStatus).
type Host struct {
	// Address is host:port; "" of one that has neither.
	Address string
	// Name is the endpoint's hostname; see translate.MemberOfEndpoint.
	Name string
	// Stats are the host's counters and gauges: cx_total, cx_active, cx_connect_fail, rq_total, rq_active and others.
	Stats map[string]uint64
	// Weight is Envoy's, 1 and more.
	Weight uint32
	// Priority is 0 but for hosts that stand by.
	Priority uint32
	// Draining says that the endpoint was sent as such: it keeps what it has and gets nothing new.
	Draining bool
	// Failed says that it gets no traffic because a health check, outlier detection or the endpoint itself says so.
	Failed bool
	// FailedCheck says that it gets no traffic because its health check failed, or has not ended yet: Envoy tells these two
	// apart only where PendingCheck is true. CheckTimedOut is about the last check that failed.
	FailedCheck, PendingCheck, CheckTimedOut bool
}

type clusterStatus struct {
	Name         string `json:"name"`
	AddedViaAPI  bool   `json:"added_via_api"`
	HostStatuses []struct {
		Address address `json:"address"`
		Name    string  `json:"hostname"`
		Stats   []struct {
			Name  string `json:"name"`
			Value uint64 `json:"value,string"`
		} `json:"stats"`
		Health struct {
			ActiveCheck  bool   `json:"failed_active_health_check"`
			PendingCheck bool   `json:"pending_active_hc"`
			TimedOut     bool   `json:"active_hc_timeout"`
			Outlier      bool   `json:"failed_outlier_check"`
			EDS          string `json:"eds_health_status"`
		} `json:"health_status"`
		Weight   uint32 `json:"weight"`
		Priority uint32 `json:"priority"`
	} `json:"host_statuses"`
}

type address struct {
	Socket struct {
		Address string `json:"address"`
		Port    int    `json:"port_value"`
	} `json:"socket_address"`
}

func (a address) String() string {
	if a.Socket.Address == "" {
		return ""
	}
	return net.JoinHostPort(a.Socket.Address, strconv.Itoa(a.Socket.Port))
}

// Clusters returns all clusters.
func (c *Client) Clusters(ctx context.Context) ([]Cluster, error) {
	var answer struct {
		Statuses []clusterStatus `json:"cluster_statuses"`
	}
	if err := c.get(ctx, "/clusters?format=json", &answer); err != nil {
		return nil, err
	}
	clusters := make([]Cluster, len(answer.Statuses))
	for i := range answer.Statuses {
		clusters[i] = answer.Statuses[i].cluster()
	}
	return clusters, nil
}

func (s *clusterStatus) cluster() Cluster {
	cluster := Cluster{Name: s.Name, Dynamic: s.AddedViaAPI, Hosts: make([]Host, len(s.HostStatuses))}
	for i := range s.HostStatuses {
		status := &s.HostStatuses[i]
		host := Host{
			Address: status.Address.String(), Name: status.Name, Stats: make(map[string]uint64, len(status.Stats)),
			Weight: status.Weight, Priority: status.Priority,
			Draining:    status.Health.EDS == "DRAINING",
			FailedCheck: status.Health.ActiveCheck, PendingCheck: status.Health.PendingCheck,
			CheckTimedOut: status.Health.TimedOut,
			Failed: status.Health.ActiveCheck || status.Health.Outlier ||
				status.Health.EDS == "UNHEALTHY" || status.Health.EDS == "TIMEOUT",
		}
		for _, stat := range status.Stats {
			host.Stats[stat.Name] = stat.Value
		}
		cluster.Hosts[i] = host
	}
	return cluster
}
