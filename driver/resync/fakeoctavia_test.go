package resync_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavia-envoy/octavia-envoy/driver/resync"
)

// fakeOctavia answers as Octavia's REST API does, for the real gophercloud.
type fakeOctavia struct {
	*httptest.Server

	mu sync.Mutex
	// objects are the objects by collection: "loadbalancers", "pools/p1/members".
	objects map[string][]map[string]any
	// pageLimit is Octavia's pagination_max_limit; 0 gives as many as are asked for.
	pageLimit int
	// broken makes every answer a 503.
	broken bool
	// requests are the paths that were asked for.
	requests []string
	// meanwhile runs when the listeners are asked for: what happens during a round.
	meanwhile func()
	// noLogin is what Keystone says instead of a token.
	noLogin error
}

func newFakeOctavia(t *testing.T) *fakeOctavia {
	t.Helper()
	fake := &fakeOctavia{objects: map[string][]map[string]any{}}
	fake.Server = httptest.NewServer(http.HandlerFunc(fake.serve))
	t.Cleanup(fake.Close)
	return fake
}

func (f *fakeOctavia) api() *resync.API {
	client := &gophercloud.ServiceClient{
		ProviderClient: &gophercloud.ProviderClient{TokenID: "token"}, Endpoint: f.URL + "/", ResourceBase: f.URL + "/v2.0/",
	}
	return resync.NewAPI(func(context.Context) (*gophercloud.ServiceClient, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return client, f.noLogin
	}, "envoy")
}

// add puts an object into a collection. age is how long ago it changed.
func (f *fakeOctavia) add(collection, id, status string, age time.Duration, attributes map[string]any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	object := map[string]any{
		"id": id, "provisioning_status": status, "created_at": "2020-01-01T00:00:00",
		"updated_at": time.Now().UTC().Add(-age).Format("2006-01-02T15:04:05"),
	}
	maps.Copy(object, attributes)
	f.objects[collection] = slices.DeleteFunc(f.objects[collection], func(old map[string]any) bool { return old["id"] == id })
	f.objects[collection] = append(f.objects[collection], object)
}

func (f *fakeOctavia) remove(collection, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.objects[collection] = slices.DeleteFunc(f.objects[collection], func(old map[string]any) bool { return old["id"] == id })
}

func (f *fakeOctavia) set(change func(*fakeOctavia)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// seen returns and forgets the requests so far.
func (f *fakeOctavia) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.requests
	f.requests = nil
	return seen
}

func (f *fakeOctavia) serve(w http.ResponseWriter, r *http.Request) {
	if f.meanwhile != nil && strings.HasSuffix(r.URL.Path, "/listeners") {
		f.meanwhile()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if f.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	collection := strings.TrimPrefix(r.URL.Path, "/v2.0/lbaas/")
	f.requests = append(f.requests, collection)
	if r.Header.Get("X-Auth-Token") != "token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	f.collection(w, r, collection)
}

func (f *fakeOctavia) collection(w http.ResponseWriter, r *http.Request, collection string) {
	query := r.URL.Query()
	key := collection[strings.LastIndex(collection, "/")+1:]
	known := map[string]bool{
		"loadbalancers": true, "listeners": true, "pools": true, "members": true, "l7policies": true, "rules": true,
	}
	if !known[key] {
		// One object.
		parent, id, _ := strings.Cut(collection, "/")
		for _, object := range f.objects[parent] {
			if object["id"] == id {
				_ = json.NewEncoder(w).Encode(map[string]any{strings.TrimSuffix(parent, "s"): object})
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if _, there := f.objects[collection]; !there && strings.Contains(collection, "/") {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	page := []map[string]any{}
	for _, object := range f.objects[collection] {
		matches := true
		for _, filter := range []string{"provider", "loadbalancer_id", "listener_id"} {
			if value := query.Get(filter); value != "" && object[filter] != value {
				matches = false
			}
		}
		if matches {
			page = append(page, object)
		}
	}
	if marker := query.Get("marker"); marker != "" {
		at := slices.IndexFunc(page, func(object map[string]any) bool { return object["id"] == marker })
		page = page[at+1:]
	}
	limit, _ := strconv.Atoi(query.Get("limit"))
	if f.pageLimit > 0 {
		limit = min(limit, f.pageLimit)
	}
	links := []any{}
	if limit > 0 && len(page) > limit {
		page = page[:limit]
		// As behind a proxy: the address is no use.
		links = append(links, map[string]any{"rel": "next", "href": "http://octavia.invalid/next"})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{key: page, key + "_links": links})
}
