package resync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// pageSize is how many objects are asked for at once; Octavia may give fewer ([api_settings] pagination_max_limit).
const pageSize = 500

// Object is what the resync needs to know of any object.
type Object struct {
	model.Ref
	// ParentID is the pool of a member or health monitor, the listener of a policy, the policy of a rule; else "".
	ParentID           string
	ProvisioningStatus model.ProvisioningStatus
	// ChangedAt is when Octavia wrote the object last, by Octavia's clock.
	ChangedAt time.Time
}

// pending reports whether Octavia waits for the object's driver.
func (o Object) pending() bool { return strings.HasPrefix(string(o.ProvisioningStatus), "PENDING_") }

// API reads Octavia's REST API.
type API struct {
	connect  func(ctx context.Context) (*gophercloud.ServiceClient, error)
	provider string
}

// NewAPI makes an API and asks nothing. connect returns the load-balancer service's client, for each use:
// openstack.Client.LoadBalancer. Its user needs to see the load balancers of all projects. provider is the name of this
// driver in octavia.conf.
func NewAPI(connect func(ctx context.Context) (*gophercloud.ServiceClient, error), provider string) *API {
	return &API{connect: connect, provider: provider}
}

// LoadBalancers lists this provider's load balancers of all projects, without the DELETED ones.
func (a *API) LoadBalancers(ctx context.Context) ([]Object, error) {
	records, err := a.list(ctx, "loadbalancers", url.Values{"provider": {a.provider}}, "loadbalancers")
	if err != nil {
		return nil, err
	}
	return objects(records, model.KindLoadBalancer, ""), nil
}

// LoadBalancer reads one; false when Octavia does not have it.
func (a *API) LoadBalancer(ctx context.Context, id string) (Object, bool, error) {
	found, err := a.show(ctx, "loadbalancer", "loadbalancers", id)
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return Object{}, false, nil
	}
	if err != nil {
		return Object{}, false, err
	}
	return found.object(model.KindLoadBalancer, ""), true, nil
}

// Children lists everything below a load balancer. What is deleted while it reads is left out.
func (a *API) Children(ctx context.Context, id string) ([]Object, error) {
	ofLoadBalancer := url.Values{"loadbalancer_id": {id}}
	listeners, err := a.list(ctx, "listeners", ofLoadBalancer, "listeners")
	if err != nil {
		return nil, err
	}
	pools, err := a.list(ctx, "pools", ofLoadBalancer, "pools")
	if err != nil {
		return nil, err
	}
	all := append(objects(listeners, model.KindListener, ""), objects(pools, model.KindPool, "")...)
	for _, pool := range pools {
		below, err := a.belowPool(ctx, pool)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	for _, listener := range listeners {
		if len(listener.L7Policies) == 0 {
			continue
		}
		policies, err := a.list(ctx, "l7policies", url.Values{"listener_id": {listener.ID}}, "l7policies")
		if err != nil {
			return nil, err
		}
		all = append(all, objects(policies, model.KindL7Policy, listener.ID)...)
		for _, policy := range policies {
			if len(policy.Rules) == 0 {
				continue
			}
			rules, err := a.list(ctx, "rules", nil, "l7policies", policy.ID, "rules")
			if err != nil {
				return nil, err
			}
			all = append(all, objects(rules, model.KindL7Rule, policy.ID)...)
		}
	}
	return all, nil
}

func (a *API) belowPool(ctx context.Context, pool record) ([]Object, error) {
	var all []Object
	if len(pool.Members) > 0 {
		members, err := a.list(ctx, "members", nil, "pools", pool.ID, "members")
		if err != nil {
			return nil, err
		}
		all = objects(members, model.KindMember, pool.ID)
	}
	if pool.HealthMonitorID == "" {
		return all, nil
	}
	monitor, err := a.show(ctx, "healthmonitor", "healthmonitors", pool.HealthMonitorID)
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	return append(all, monitor.object(model.KindHealthMonitor, pool.ID)), nil
}

// record is what all of Octavia's objects look like, as far as it matters here.
type record struct {
	ID                 string                   `json:"id"`
	ProvisioningStatus model.ProvisioningStatus `json:"provisioning_status"`
	CreatedAt          string                   `json:"created_at"`
	UpdatedAt          string                   `json:"updated_at"`
	// These say whether there is something below.
	HealthMonitorID string            `json:"healthmonitor_id"`
	Members         []json.RawMessage `json:"members"`
	L7Policies      []json.RawMessage `json:"l7policies"`
	Rules           []json.RawMessage `json:"rules"`
}

func (r record) object(kind model.Kind, parentID string) Object {
	changed := r.UpdatedAt
	if changed == "" {
		changed = r.CreatedAt
	}
	// Octavia writes UTC without saying so. What cannot be read counts as old: better looked at than left alone.
	at, _ := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(changed, "Z"))
	return Object{
		Ref: model.Ref{Kind: kind, ID: r.ID}, ParentID: parentID, ProvisioningStatus: r.ProvisioningStatus, ChangedAt: at,
	}
}

func objects(records []record, kind model.Kind, parentID string) []Object {
	all := make([]Object, len(records))
	for i, r := range records {
		all[i] = r.object(kind, parentID)
	}
	return all
}

// list reads all pages of a collection. key is the collection's name in the answer. It asks for the next page by marker:
// the links in the answer may name an address that only Octavia's proxy knows.
func (a *API) list(ctx context.Context, key string, query url.Values, path ...string) ([]record, error) {
	return list(ctx, a, func(r record) string { return r.ID }, key, query, path...)
}

func list[T any](ctx context.Context, a *API, id func(T) string, key string, query url.Values, path ...string) ([]T, error) {
	client, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	asked := url.Values{"limit": {strconv.Itoa(pageSize)}}
	maps.Copy(asked, query)
	var all []T
	for {
		var page map[string]json.RawMessage
		address := client.ServiceURL(append([]string{"lbaas"}, path...)...) + "?" + asked.Encode()
		_, err := client.Get(ctx, address, &page, nil) //nolint:bodyclose // gophercloud reads and closes it
		if len(path) > 1 && gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", strings.Join(path, "/"), err)
		}
		var records []T
		var links []struct {
			Rel string `json:"rel"`
		}
		if err := errors.Join(decode(page[key], &records), decode(page[key+"_links"], &links)); err != nil {
			return nil, fmt.Errorf("list %s: %w", strings.Join(path, "/"), err)
		}
		all = append(all, records...)
		more := false
		for _, link := range links {
			more = more || link.Rel == "next"
		}
		if !more || len(records) == 0 || asked.Get("marker") == id(records[len(records)-1]) {
			return all, nil
		}
		asked.Set("marker", id(records[len(records)-1]))
	}
}

func (a *API) show(ctx context.Context, key string, path ...string) (record, error) {
	return show[record](ctx, a, key, path...)
}

func show[T any](ctx context.Context, a *API, key string, path ...string) (T, error) {
	var none T
	client, err := a.connect(ctx)
	if err != nil {
		return none, err
	}
	var answer map[string]T
	address := client.ServiceURL(append([]string{"lbaas"}, path...)...)
	if _, err := client.Get(ctx, address, &answer, nil); err != nil { //nolint:bodyclose // gophercloud reads and closes it
		return none, fmt.Errorf("show %s: %w", strings.Join(path, "/"), err)
	}
	return answer[key], nil
}

func decode(raw json.RawMessage, into any) error {
	if raw == nil {
		return nil
	}
	return json.Unmarshal(raw, into)
}
