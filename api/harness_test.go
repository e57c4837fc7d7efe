package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
)

const (
	lbID       = "10000000-0000-4000-8000-000000000001"
	listenerID = "20000000-0000-4000-8000-000000000001"
	poolID     = "30000000-0000-4000-8000-000000000001"
	memberID   = "40000000-0000-4000-8000-000000000001"
	monitorID  = "50000000-0000-4000-8000-000000000001"
	policyID   = "60000000-0000-4000-8000-000000000001"
	ruleID     = "70000000-0000-4000-8000-000000000001"
	newID      = "80000000-0000-4000-8000-000000000001"
	otherID    = "90000000-0000-4000-8000-000000000009"
	requestID  = "req-11111111-2222-4333-8444-555555555555"
)

var clock = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// harness is an API on a real store.
type harness struct {
	t       *testing.T
	store   *store.Store
	handler http.Handler
	logs    *bytes.Buffer
	woken   atomic.Int32
}

func newHarness(t *testing.T, configure ...func(*api.Options)) *harness {
	t.Helper()
	h := &harness{t: t, store: storetest.Open(t, storetest.SQLite(t)), logs: new(bytes.Buffer)}
	options := api.Options{
		Store:  h.store,
		Logger: slog.New(slog.NewJSONHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Wake:   func() { h.woken.Add(1) },
		Now:    func() time.Time { return clock },
	}
	for _, f := range configure {
		f(&options)
	}
	h.handler = api.New(options)
	return h
}

// tree is what is stored of a load balancer: a listener with a pool with a member.
func tree(t *testing.T) *model.LoadBalancer {
	t.Helper()
	lb := new(model.LoadBalancer)
	require.NoError(t, json.Unmarshal([]byte(treeJSON), lb))
	return lb
}

const treeJSON = `{
	"loadbalancer_id": "` + lbID + `", "project_id": "p", "name": "lb", "vip_address": "192.0.2.5",
	"listeners": [{"listener_id": "` + listenerID + `", "loadbalancer_id": "` + lbID + `", "protocol": "HTTP",
		"protocol_port": 80, "default_pool_id": "` + poolID + `"}],
	"pools": [{"pool_id": "` + poolID + `", "loadbalancer_id": "` + lbID + `", "protocol": "HTTP",
		"lb_algorithm": "ROUND_ROBIN", "members": [{"member_id": "` + memberID + `", "pool_id": "` + poolID + `",
			"address": "192.0.2.10", "protocol_port": 8080}]}]}`

// save stores a tree, changed or as it is.
func (h *harness) save(change ...func(*model.LoadBalancer)) {
	h.t.Helper()
	lb := tree(h.t)
	for _, f := range change {
		f(lb)
	}
	_, err := h.store.SaveTree(context.Background(), lb)
	require.NoError(h.t, err)
}

type answer struct {
	Status int
	Header http.Header
	Body   string
}

// call makes a call as the shim does.
func (h *harness) call(method, target, body string) answer {
	h.t.Helper()
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("X-Openstack-Request-Id", requestID)
	request.Header.Set("X-Project-Id", "project")
	request.Header.Set("X-User-Id", "user")
	return h.do(request)
}

func (h *harness) do(request *http.Request) answer {
	h.t.Helper()
	recorder := httptest.NewRecorder()
	h.handler.ServeHTTP(recorder, request)
	data, err := io.ReadAll(recorder.Body)
	require.NoError(h.t, err)
	return answer{recorder.Code, recorder.Header(), string(data)}
}

// refused checks an error answer: the status, the code, the field, and the sentence that the user reads.
func (h *harness) refused(got answer, status int, code api.Code, field, message string) api.Error {
	h.t.Helper()
	var decoded struct {
		Error api.Error `json:"error"`
	}
	require.NoError(h.t, json.Unmarshal([]byte(got.Body), &decoded), got.Body)
	require.Equal(h.t, status, got.Status, got.Body)
	require.Equal(h.t, code, decoded.Error.Code, got.Body)
	require.Equal(h.t, field, decoded.Error.Field, got.Body)
	require.Equal(h.t, message, decoded.Error.Message)
	require.Contains(h.t, got.Header.Get("Content-Type"), "application/json")
	return decoded.Error
}

// accepted checks a 202 and returns the intent that it says was committed.
func (h *harness) accepted(got answer) model.Intent {
	h.t.Helper()
	require.Equal(h.t, http.StatusAccepted, got.Status, got.Body)
	var decoded struct {
		Intent         int64  `json:"intent"`
		LoadBalancerID string `json:"loadbalancer_id"`
	}
	require.NoError(h.t, json.Unmarshal([]byte(got.Body), &decoded))
	intents, err := h.store.Intents(context.Background(), decoded.LoadBalancerID)
	require.NoError(h.t, err)
	for _, intent := range intents {
		if intent.ID == decoded.Intent {
			return intent
		}
	}
	h.t.Fatalf("intent %d is not in the store: %+v", decoded.Intent, intents)
	return model.Intent{}
}

func (h *harness) intents() []model.Intent {
	h.t.Helper()
	intents, err := h.store.Intents(context.Background(), lbID)
	require.NoError(h.t, err)
	return intents
}

func (h *harness) audit(id string) []store.Audit {
	h.t.Helper()
	entries, err := h.store.AuditEntries(context.Background(), id, 100)
	require.NoError(h.t, err)
	return entries
}

// octavia is a Resolver: get.sock, which knows some objects.
type octavia struct {
	known map[model.Ref]string
	err   error
	asked []model.Ref
}

func (o *octavia) LoadBalancerOf(_ context.Context, ref model.Ref, _ string) (string, error) {
	o.asked = append(o.asked, ref)
	if o.err != nil {
		return "", o.err
	}
	if id, ok := o.known[ref]; ok {
		return id, nil
	}
	return "", errors.Join(errors.New("get.sock"), store.ErrNotFound)
}

// failingStore is a store whose database is gone.
type failingStore struct {
	api.Store
	reads, intents, audits, claims error
}

func (f failingStore) LoadBalancer(ctx context.Context, id string) (*store.LoadBalancer, error) {
	if f.reads != nil {
		return nil, f.reads
	}
	return f.Store.LoadBalancer(ctx, id)
}

func (f failingStore) LoadBalancerOf(ctx context.Context, ref model.Ref) (string, error) {
	if f.reads != nil {
		return "", f.reads
	}
	return f.Store.LoadBalancerOf(ctx, ref)
}

func (f failingStore) AddIntent(ctx context.Context, intent model.Intent, audit store.Audit) (int64, error) {
	if f.intents != nil {
		return 0, f.intents
	}
	return f.Store.AddIntent(ctx, intent, audit)
}

func (f failingStore) AddAudit(ctx context.Context, audit store.Audit) error {
	if f.audits != nil {
		return f.audits
	}
	return f.Store.AddAudit(ctx, audit)
}

func (f failingStore) ClaimVIPPort(ctx context.Context, id string) error {
	if f.claims != nil {
		return f.claims
	}
	return f.Store.ClaimVIPPort(ctx, id)
}

// readOnly is a store that has one tree and forgets what it is told: for fuzzing, where a disk would be the bottleneck.
type readOnly struct {
	api.Store
	tree *model.LoadBalancer
}

func (r readOnly) LoadBalancer(context.Context, string) (*store.LoadBalancer, error) {
	return &store.LoadBalancer{Tree: r.tree}, nil
}

func (readOnly) LoadBalancerOf(context.Context, model.Ref) (string, error) { return lbID, nil }

func (readOnly) AddIntent(context.Context, model.Intent, store.Audit) (int64, error) { return 1, nil }
func (readOnly) AddAudit(context.Context, store.Audit) error                         { return nil }
func (readOnly) ClaimVIPPort(context.Context, string) error                          { return store.ErrNotFound }
