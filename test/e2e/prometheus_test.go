package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestPrometheus has a user create a PROMETHEUS listener, and Prometheus read it over the VIP: this load balancer's own
// numbers, and nothing of another load balancer or of the controller.
func TestPrometheus(t *testing.T) {
	c := shared
	s, other := c.webService(t, "e2e-metrics"), c.webService(t, "e2e-metrics-other")
	c.openstack(t, "loadbalancer listener create --name my-metrics --protocol PROMETHEUS --protocol-port 8088 "+s.lb.ID)
	lb := c.settle(t, s.lb.ID)
	address := lb.VIPAddress + ":8088"
	id := strings.TrimSpace(c.openstack(t, "loadbalancer listener show my-metrics -f value -c id"))
	c.checkOperatingStates(t, s.lb.ID)

	of := "listener=" + s.listener.ID
	var before map[string]*dto.MetricFamily
	eventually(t, settleTime, func() error {
		families, page, err := c.scrape(t, address)
		if before = families; err == nil && number(families, "octavia_member_weight", "pool="+s.pool.ID, "member="+s.member.ID) != 1 {
			err = errors.New("the member is not there:\n" + page)
		}
		return err
	})
	if got := c.spread(t, s.address, 20); got["member1"] != 20 {
		t.Fatalf("traffic went to %v", got)
	}
	c.spread(t, other.address, 30)
	var page string
	eventually(t, settleTime, func() error { // a page is a second old
		families, text, err := c.scrape(t, address)
		if err != nil {
			return err
		}
		page = text
		for name, labels := range map[string][]string{
			"octavia_listener_http_requests_total":  {of},
			"octavia_listener_http_responses_total": {of, "code=2xx"},
			"octavia_listener_connections_total":    {of},
			"octavia_pool_sessions_total":           {"pool=" + s.pool.ID},
			"octavia_pool_http_responses_total":     {"pool=" + s.pool.ID, "code=2xx"},
			"octavia_member_sessions_total":         {"pool=" + s.pool.ID, "member=" + s.member.ID},
		} {
			if made := number(families, name, labels...) - number(before, name, labels...); made != 20 {
				err = errors.Join(err, fmt.Errorf("%s counts %v of 20", name, made))
			}
		}
		for _, series := range [][]string{
			{"octavia_listener_status", of, "state=UP"},
			{"octavia_listener_status", "listener=" + id, "state=UP"},
			{"octavia_pool_status", "pool=" + s.pool.ID, "state=UP"},
			{"octavia_pool_active_members", "pool=" + s.pool.ID},
			{"octavia_member_status", "pool=" + s.pool.ID, "member=" + s.member.ID, "state=UP"},
		} {
			if got := number(families, series[0], series[1:]...); got != 1 {
				err = errors.Join(err, fmt.Errorf("%v is %v", series, got))
			}
		}
		if got := number(families, "octavia_loadbalancer_listeners"); got != 2 {
			err = errors.Join(err, fmt.Errorf("%v listeners", got))
		}
		return err
	})
	for _, hidden := range []string{
		other.lb.ID, other.listener.ID, other.pool.ID, other.member.ID, lb.VIPAddress, c.env["OE_MEMBER1_ADDRESS"],
		"octavia-envoy", "admin", "xds", "tls", "cert", "/run", "127.0.0.1",
	} {
		if strings.Contains(page, hidden) {
			t.Errorf("the page has %q:\n%s", hidden, page)
		}
	}
	c.onlyMetrics(t, address)

	_, stderr, err := c.try(t, c.env["OPENSTACK"], "loadbalancer", "pool", "create", "--listener", id,
		"--protocol", "HTTP", "--lb-algorithm", "ROUND_ROBIN")
	if err == nil || !strings.Contains(stderr, "PROMETHEUS") {
		t.Errorf("a pool for a PROMETHEUS listener: %v, %s", err, stderr)
	}
	c.openstack(t, "loadbalancer listener set --allowed-cidr 192.0.2.0/24 "+id)
	c.settle(t, s.lb.ID)
	eventually(t, settleTime, func() error {
		if _, _, err := c.scrape(t, address); err == nil {
			return errors.New("a client outside of the CIDR is answered")
		}
		return nil
	})
	c.openstack(t, "loadbalancer listener set --allowed-cidr 203.0.113.0/24 "+id)
	c.settle(t, s.lb.ID)

	// The amphora that comes instead has the way to its agent, too.
	c.openstack(t, "loadbalancer failover "+s.lb.ID)
	c.settle(t, s.lb.ID)
	eventually(t, settleTime, func() error { _, _, err := c.scrape(t, address); return err })
	c.openstack(t, "loadbalancer listener delete "+id)
	c.settle(t, s.lb.ID)
	eventually(t, settleTime, func() error {
		if _, _, err := c.scrape(t, address); err == nil {
			return errors.New("the listener is deleted and answers")
		}
		return nil
	})
	c.serves(t, s.address)
	c.noneStuck(t)
}

// scrape reads the metrics as Prometheus does.
func (c *cloud) scrape(t *testing.T, address string) (map[string]*dto.MetricFamily, string, error) {
	t.Helper()
	code, page, err := c.page(t, http.MethodGet, address, "/metrics")
	if err != nil {
		return nil, "", err
	}
	if code != http.StatusOK {
		return nil, "", fmt.Errorf("answered %d: %s", code, page)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	return families, page, err
}

func (c *cloud) page(t *testing.T, method, address, path string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := c.client(t).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// onlyMetrics asks for what is behind the metrics.
func (c *cloud) onlyMetrics(t *testing.T, address string) {
	t.Helper()
	for _, asked := range []string{
		"GET /", "GET /admin", "GET /stats", "GET /stats/prometheus", "GET /config_dump", "GET /clusters", "GET /certs",
		"GET /metrics/../config_dump", "POST /metrics", "POST /quitquitquit", "POST /healthcheck/fail",
	} {
		method, path, _ := strings.Cut(asked, " ")
		if code, body, err := c.page(t, method, address, path); err != nil || code != http.StatusForbidden {
			t.Errorf("%s: answered %d, %v: %s", asked, code, err, body)
		}
	}
}

// number is the value of the metric that has all these labels (name=value) and no others; 0 when there is none.
func number(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	for _, metric := range families[name].GetMetric() {
		matches := len(metric.GetLabel()) == len(labels)
		for _, pair := range metric.GetLabel() {
			found := false
			for _, label := range labels {
				found = found || label == pair.GetName()+"="+pair.GetValue()
			}
			matches = matches && found
		}
		if matches {
			return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return 0
}
