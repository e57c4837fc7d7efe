package ocsp

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/crypto/ocsp"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
	"github.com/octavia-envoy/octavia-envoy/store/storetest"
	"github.com/octavia-envoy/octavia-envoy/test/pki"
)

// world is an authority with a responder whose answers a test decides, and a stapler over a real store.
type world struct {
	*pki.Authority
	mu       sync.Mutex
	answer   func(w http.ResponseWriter)
	asked    int
	now      time.Time
	changed  []string
	url      string
	store    *store.Store
	registry *prometheus.Registry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		Authority: pki.New(t, "root").Intermediate("issuer"), now: time.Now().Truncate(time.Second),
		store: storetest.Open(t, storetest.SQLite(t)),
	}
	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked++
		if request.Method != http.MethodPost || request.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("asked by %s with %s", request.Method, request.Header.Get("Content-Type"))
		}
		w.answer(writer)
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *world) stapler() *Stapler {
	w.registry = prometheus.NewRegistry()
	return New(Options{
		Store: w.store, Guard: Guard{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, Registry: w.registry,
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
		Changed: func(_ context.Context, id string) { w.changed = append(w.changed, id) },
	})
}

// says makes the responder send a response.
func (w *world) says(der []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = func(writer http.ResponseWriter) {
		writer.Header().Set("Content-Type", "application/ocsp-response")
		_, _ = writer.Write(der)
	}
}

func tree(id string, certificate pki.Certificate) *model.LoadBalancer {
	return &model.LoadBalancer{ID: id, Listeners: []model.Listener{{
		ID: "listener-" + id, DefaultTLSContainerRef: "https://barbican/1", DefaultTLSContainer: certificate.Container(),
	}}}
}

// filled returns what a load balancer with the certificate would staple.
func filled(t *testing.T, s *Stapler, id string, certificate pki.Certificate) string {
	t.Helper()
	lb := tree(id, certificate)
	s.Fill(t.Context(), lb)
	return string(lb.Listeners[0].DefaultTLSContainer.OCSPResponse)
}

func TestStapler(t *testing.T) {
	w := newWorld(t)
	s := w.stapler()
	certificate := w.Issue(pki.Options{Names: []string{"a"}, OCSPServers: []string{"ldap://x", w.url}})
	first := w.OCSP(certificate, ocsp.Good, w.now.Add(-time.Minute), w.now.Add(10*time.Hour))
	w.says(first)
	if got := filled(t, s, "one", certificate); got != "" {
		t.Fatal("a response before anybody was asked")
	}
	if w.asked > 0 {
		t.Fatal("Fill asks")
	}
	filled(t, s, "two", certificate)
	s.refresh(t.Context())
	if strings.Join(w.changed, " ") != "one two" || w.asked != 1 {
		t.Errorf("%d questions, then changed: %v; want one for both", w.asked, w.changed)
	}
	if filled(t, s, "one", certificate) != string(first) {
		t.Error("the response is not stapled")
	}
	// Nothing happens before half of its life is over, and then the next one is got, once.
	w.now = w.now.Add(4 * time.Hour)
	s.refresh(t.Context())
	if w.asked != 1 {
		t.Error("asked again before half of its life was over")
	}
	w.now = w.now.Add(2*time.Hour + 5*time.Minute) // half of its life, and all of the jitter
	second := w.OCSP(certificate, ocsp.Good, w.now.Add(-time.Minute), w.now.Add(10*time.Hour))
	w.says(second)
	s.refresh(t.Context())
	s.refresh(t.Context())
	if w.asked != 2 || filled(t, s, "two", certificate) != string(second) {
		t.Errorf("%d questions; the second response is stapled: %v", w.asked, filled(t, s, "two", certificate) == string(second))
	}
	// After a restart it is there before anybody was asked.
	again := w.stapler()
	if filled(t, again, "one", certificate) != string(second) {
		t.Error("the response did not survive a restart")
	}
	again.refresh(t.Context())
	if w.asked != 2 {
		t.Error("asked although the stored response is fresh")
	}
	// What nobody uses is not asked about.
	again.Forget("one")
	w.now = w.now.Add(8 * time.Hour)
	again.refresh(t.Context())
	if w.asked != 2 {
		t.Error("asked for a load balancer that is gone")
	}
}

// TestShortLivedResponses are replaced before they end, also when the responder fails for a while or the controller is new,
// and nobody is asked all the time.
func TestShortLivedResponses(t *testing.T) {
	w := newWorld(t)
	certificate := w.Issue(pki.Options{Names: []string{"a"}, OCSPServers: []string{w.url}})
	begin := w.now
	for _, test := range []struct {
		name string
		// age and left are of the response, when it comes.
		age, left time.Duration
		// before and after are moments at which the next one has not, and has, been asked for.
		before, after time.Duration
		fails, again  bool
	}{
		{name: "a minute", left: time.Minute, before: 29 * time.Second, after: 37 * time.Second},
		{name: "a second", left: time.Second, before: 9 * time.Second, after: 11 * time.Second},
		{name: "almost over", age: 24 * time.Hour, left: 4 * time.Minute, before: 119 * time.Second, after: 2 * time.Minute},
		{name: "half over", age: 24 * time.Hour, left: 12 * time.Hour, before: 299 * time.Second, after: 5 * time.Minute},
		{name: "after a restart", age: 24 * time.Hour, left: 4 * time.Minute, before: 119 * time.Second, after: 2 * time.Minute, again: true},
		{name: "after a failure", age: 24 * time.Hour, left: time.Minute, before: 44 * time.Second, after: 45 * time.Second, fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.now, w.asked, w.store = begin, 0, storetest.Open(t, storetest.SQLite(t))
			s := w.stapler()
			w.says(w.OCSP(certificate, ocsp.Good, begin.Add(-test.age), begin.Add(test.left)))
			filled(t, s, "lb", certificate)
			s.refresh(t.Context())
			if test.again {
				s = w.stapler()
				filled(t, s, "lb", certificate)
			}
			if test.fails {
				w.says([]byte("no"))
				w.now = begin.Add(30 * time.Second)
				s.refresh(t.Context())
				w.asked--
			}
			w.now = begin.Add(test.before)
			if s.refresh(t.Context()); w.asked != 1 {
				t.Errorf("after %s: %d questions", test.before, w.asked)
			}
			w.now = begin.Add(test.after)
			if s.refresh(t.Context()); w.asked != 2 {
				t.Errorf("after %s: %d questions", test.after, w.asked)
			}
		})
	}
}

// TestAnotherControllersResponse is taken from the store, and nobody is asked.
func TestAnotherControllersResponse(t *testing.T) {
	w := newWorld(t)
	certificate := w.Issue(pki.Options{Names: []string{"a"}, OCSPServers: []string{w.url}})
	w.says(nil)
	s := w.stapler()
	filled(t, s, "lb", certificate)
	about, err := subjectOf(certificate.Container())
	if err != nil {
		t.Fatal(err)
	}
	response := w.OCSP(certificate, ocsp.Good, w.now.Add(-time.Minute), w.now.Add(time.Hour))
	if err := w.store.PutOCSPResponse(t.Context(), store.OCSPResponse{Fingerprint: about.fingerprint, Response: response}); err != nil {
		t.Fatal(err)
	}
	s.refresh(t.Context())
	if w.asked != 0 || len(w.changed) != 1 || filled(t, s, "lb", certificate) != string(response) {
		t.Errorf("%d questions, changed %v", w.asked, w.changed)
	}
}

// TestWrongResponses take nothing away: what is stapled stays, and it is asked again later.
func TestWrongResponses(t *testing.T) {
	w := newWorld(t)
	certificate := w.Issue(pki.Options{Names: []string{"a"}, OCSPServers: []string{w.url}})
	other := w.Issue(pki.Options{Names: []string{"b"}})
	foreign := pki.New(t, "foreign")
	from, until := w.now.Add(time.Minute), w.now.Add(20*time.Hour)
	signer := w.Issue(pki.Options{Names: []string{"responder"}, OCSPSigner: true})
	expired := w.Issue(pki.Options{Names: []string{"responder"}, OCSPSigner: true, NotAfter: time.Now().Add(-time.Minute)})
	for name, test := range map[string]struct {
		der     []byte
		answer  func(http.ResponseWriter)
		good    bool
		outcome string
	}{
		"good":                      {der: w.OCSP(certificate, ocsp.Good, from, until), good: true},
		"delegated":                 {der: w.DelegatedOCSP(certificate, signer, from, until), good: true},
		"no right to sign":          {der: w.DelegatedOCSP(certificate, other, from, until)},
		"signer out of date":        {der: w.DelegatedOCSP(certificate, expired, from, until)},
		"about another":             {der: w.OCSP(other, ocsp.Good, from, until)},
		"signed by another":         {der: foreign.OCSP(certificate, ocsp.Good, from, until)},
		"unknown":                   {der: w.OCSP(certificate, ocsp.Unknown, from, until)},
		"revoked":                   {der: w.OCSP(certificate, ocsp.Revoked, from, until), outcome: "revoked"},
		"of the future":             {der: w.OCSP(certificate, ocsp.Good, from.Add(11*time.Hour), until)},
		"late":                      {der: w.OCSP(certificate, ocsp.Good, from, from.Add(time.Hour))},
		"without end":               {der: w.OCSP(certificate, ocsp.Good, from, time.Time{})},
		"older than the one before": {der: w.OCSP(certificate, ocsp.Good, w.now.Add(-time.Hour), until)},
		"try later":                 {der: ocsp.TryLaterErrorResponse},
		"garbage":                   {der: []byte("no")},
		"nothing":                   {der: []byte{}},
		"an error":                  {answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }},
		"a page": {answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		}},
		"endless": {answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/ocsp-response")
			_, _ = w.Write(make([]byte, maxResponse+1))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w.now, w.changed = from.Add(-time.Minute), nil
			database := storetest.Open(t, storetest.SQLite(t))
			w.store = database
			s := w.stapler()
			before := w.OCSP(certificate, ocsp.Good, w.now.Add(-time.Minute), w.now.Add(12*time.Hour))
			w.says(before)
			filled(t, s, "lb", certificate)
			s.refresh(t.Context())
			if filled(t, s, "lb", certificate) != string(before) {
				t.Fatal("there is no response to begin with")
			}
			w.now, w.changed, w.asked = w.now.Add(10*time.Hour), nil, 0
			if test.answer != nil {
				w.mu.Lock()
				w.answer = test.answer
				w.mu.Unlock()
			} else {
				w.says(test.der)
			}
			s.refresh(t.Context())
			if w.asked != 1 {
				t.Fatalf("%d questions", w.asked)
			}
			want := string(before)
			if test.good {
				want = string(test.der)
			}
			if got := filled(t, s, "lb", certificate); got != want || (len(w.changed) > 0) != test.good {
				t.Errorf("the old response stays: %v, changed: %v", got == string(before), w.changed)
			}
			// It is asked again, later and later, and not at once.
			s.refresh(t.Context())
			if w.asked != 1 {
				t.Error("asked again at once")
			}
			w.now = w.now.Add(2 * time.Minute)
			s.refresh(t.Context())
			if asked := w.asked == 2; asked == test.good {
				t.Errorf("asked again after two minutes: %v", asked)
			}
			if test.outcome != "" && testutil.ToFloat64(s.metrics.fetches.WithLabelValues(test.outcome)) == 0 {
				t.Errorf("no fetch counts as %s", test.outcome)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	s := w.stapler()
	certificate := w.Issue(pki.Options{Names: []string{"a"}, OCSPServers: []string{w.url}})
	state := func() string {
		counts := s.states()
		var all []string
		for _, name := range []string{stateStapled, stateMissing, stateLate, stateRevoked} {
			if counts[name] > 0 {
				all = append(all, name)
			}
		}
		return strings.Join(all, " ")
	}
	filled(t, s, "lb", certificate)
	if state() != stateMissing {
		t.Errorf("before: %s", state())
	}
	w.says(w.OCSP(certificate, ocsp.Good, w.now, w.now.Add(time.Hour)))
	s.refresh(t.Context())
	if state() != stateStapled {
		t.Errorf("with a response: %s", state())
	}
	w.now = w.now.Add(2 * time.Hour)
	if state() != stateLate {
		t.Errorf("when it is over: %s", state())
	}
	w.says(w.OCSP(certificate, ocsp.Revoked, w.now, w.now.Add(time.Hour)))
	s.refresh(t.Context())
	if state() != stateRevoked {
		t.Errorf("revoked: %s", state())
	}
	if got, until := s.State(certificate.Container()); got != stateRevoked || until.IsZero() {
		t.Errorf("of the one: %s until %s", got, until)
	}
	if got, _ := s.State(w.Issue(pki.Options{Names: []string{"b"}, OCSPServers: []string{w.url}}).Container()); got != "" {
		t.Errorf("of one that nobody uses: %s", got)
	}
	problems, err := testutil.GatherAndLint(w.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestNothingToAsk: most certificates.
func TestNothingToAsk(t *testing.T) {
	w := newWorld(t)
	s := w.stapler()
	direct := pki.New(t, "root alone").Issue(pki.Options{Names: []string{"a"}, OCSPServers: []string{w.url}})
	for name, certificate := range map[string]pki.Certificate{
		"no responder":   w.Issue(pki.Options{Names: []string{"a"}}),
		"no URL of HTTP": w.Issue(pki.Options{Names: []string{"a"}, OCSPServers: []string{"ldap://x", "file:///etc/passwd", "http://", "::"}}),
		"no issuer":      direct,
	} {
		if filled(t, s, "lb", certificate) != "" || len(s.watched) > 0 {
			t.Errorf("%s: it is watched", name)
		}
	}
	bad := tree("lb", direct)
	bad.Listeners[0].DefaultTLSContainer.Certificate = "no PEM"
	s.Fill(t.Context(), bad)
}
