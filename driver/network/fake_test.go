package network_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
)

const (
	networkID = "11111111-1111-4111-8111-111111111111"
	subnet4   = "44444444-4444-4444-8444-444444444444"
	subnet6   = "22222222-6666-4666-8666-666666666666" // sorts before subnet4
	other4    = "55555555-4444-4444-8444-444444444444"
	project   = "7bfa5767a5db4806a9f304995ddde512"
)

// api answers as Neutron does, for one network with two IPv4 subnets and one of IPv6.
type api struct {
	mu     sync.Mutex
	ports  map[string]map[string]any
	bodies []map[string]any // of port creations
	// refuse is sent instead of making a port.
	refuse func(w http.ResponseWriter)
	// broken answers everything with 503.
	broken bool
	reads  int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/") // v2.0/ports/<id>
	kind, id := parts[1], ""
	if len(parts) > 2 {
		id = parts[2]
	}
	subnets := map[string]map[string]any{
		subnet4: {
			"id": subnet4, "network_id": networkID, "cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1", "ip_version": 4,
			"host_routes": []map[string]any{{"destination": "10.9.0.0/16", "nexthop": "203.0.113.254"}},
		},
		subnet6: {"id": subnet6, "network_id": networkID, "cidr": "2001:db8::/64", "ip_version": 6},
		other4:  {"id": other4, "network_id": networkID, "cidr": "198.51.100.0/24", "ip_version": 4},
	}
	switch {
	case kind == "ports" && r.Method == http.MethodPost:
		a.create(w, r)
	case kind == "ports" && id == "":
		found := []map[string]any{}
		for _, port := range a.ports {
			if port["device_id"] == r.URL.Query().Get("device_id") && port["device_owner"] == r.URL.Query().Get("device_owner") {
				found = append(found, port)
			}
		}
		answer(w, http.StatusOK, map[string]any{"ports": found})
	case kind == "ports" && a.ports[id] == nil:
		refuse(w, http.StatusNotFound, "PortNotFound", "Port "+id+" could not be found.")
	case kind == "ports" && r.Method == http.MethodDelete:
		delete(a.ports, id)
		w.WriteHeader(http.StatusNoContent)
	case kind == "ports":
		a.reads++
		answer(w, http.StatusOK, map[string]any{"port": a.ports[id]})
	case kind == "subnets" && id == "":
		found := []map[string]any{}
		if r.URL.Query().Get("network_id") == networkID {
			found = append(found, subnets[subnet6], subnets[subnet4], subnets[other4])
		}
		answer(w, http.StatusOK, map[string]any{"subnets": found})
	case kind == "subnets" && subnets[id] != nil:
		answer(w, http.StatusOK, map[string]any{"subnet": subnets[id]})
	case kind == "networks" && id == networkID:
		answer(w, http.StatusOK, map[string]any{"network": map[string]any{"id": id, "mtu": 1450}})
	default:
		refuse(w, http.StatusNotFound, "NotFound", "no "+kind)
	}
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	if a.refuse != nil {
		a.refuse(w)
		return
	}
	var body struct {
		Port map[string]any `json:"port"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "Malformed", err.Error())
		return
	}
	a.bodies = append(a.bodies, body.Port)
	port := map[string]any{}
	maps.Copy(port, body.Port)
	given := []map[string]any{}
	for _, asked := range body.Port["fixed_ips"].([]any) {
		fixed := asked.(map[string]any)
		address := fixed["ip_address"]
		if address == nil {
			address = map[any]string{subnet4: "203.0.113.7", subnet6: "2001:db8::7", other4: "198.51.100.7"}[fixed["subnet_id"]]
		}
		given = append(given, map[string]any{"subnet_id": fixed["subnet_id"], "ip_address": address})
	}
	slices.Reverse(given) // Neutron keeps no order
	port["id"], port["mac_address"], port["fixed_ips"] = uuid.NewString(), "fa:16:3e:01:02:03", given
	a.ports[port["id"].(string)] = port
	answer(w, http.StatusCreated, map[string]any{"port": port})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	answer(w, status, map[string]any{"NeutronError": map[string]any{"type": kind, "message": message, "detail": ""}})
}
