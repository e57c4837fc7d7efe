package amphora_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcstatus "google.golang.org/grpc/status"

	agentapiv1 "github.com/octavia-envoy/octavia-envoy/amphora-image/agentapi/v1"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora"
	"github.com/octavia-envoy/octavia-envoy/driver/amphora/amphoratest"
	"github.com/octavia-envoy/octavia-envoy/driver/certs"
	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/test/testkit"
)

type stream = grpc.BidiStreamingClient[agentapiv1.Report, agentapiv1.Instruction]

// put stores a new amphora.
func put(t *testing.T, c *amphoratest.Controller) model.Amphora {
	t.Helper()
	row := model.Amphora{ID: uuid.NewString(), LoadBalancerID: uuid.NewString(), Status: model.AmphoraAllocated, Compute: "test"}
	if err := c.Store.PutAmphora(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	return row
}

// dial connects with a certificate.
func dial(t *testing.T, c *amphoratest.Controller, issued *certs.Credentials) agentapiv1.AmphoraAgentClient {
	t.Helper()
	pair, err := tls.X509KeyPair(issued.Certificate, []byte(issued.Key))
	if err != nil {
		t.Fatal(err)
	}
	connection, err := grpc.NewClient(c.Address(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: c.Authority.Pool(), ServerName: certs.ServerName, Certificates: []tls.Certificate{pair},
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return agentapiv1.NewAmphoraAgentClient(connection)
}

func issue(t *testing.T, c *amphoratest.Controller, id string) *certs.Credentials {
	t.Helper()
	issued, err := c.Authority.AmphoraCredentials(id, 0)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

// greet opens a stream that says hello for an amphora, with the certificate of another perhaps.
func greet(t *testing.T, client agentapiv1.AmphoraAgentClient, amphoraID, loadBalancerID string) stream {
	t.Helper()
	opened, err := client.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := opened.Send(&agentapiv1.Report{Content: &agentapiv1.Report_Hello{
		Hello: &agentapiv1.Hello{AmphoraId: amphoraID, LoadbalancerId: loadBalancerID},
	}}); err != nil {
		t.Fatal(err)
	}
	return opened
}

func TestOnlyTheAmphoraOfTheCertificateComesIn(t *testing.T) {
	c := amphoratest.New(t)
	c.Start()
	own, other := put(t, c), put(t, c)
	client := dial(t, c, issue(t, c, own.ID))

	for name, hello := range map[string][2]string{
		"another's id": {other.ID, other.LoadBalancerID}, "another's load balancer": {own.ID, other.LoadBalancerID},
	} {
		if _, err := greet(t, client, hello[0], hello[1]).Recv(); grpcstatus.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.Fleet.Connected(own.ID) || c.Fleet.Connected(other.ID) {
		t.Error("one of them came in")
	}
	good := greet(t, client, own.ID, own.LoadBalancerID)
	if _, err := good.Recv(); err != nil || !c.Fleet.Connected(own.ID) {
		t.Errorf("the amphora itself: %v", err)
	}

	operator, err := c.Authority.IssueOperator("alice", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := greet(t, dial(t, c, operator), own.ID, own.LoadBalancerID).Recv(); grpcstatus.Code(err) != codes.PermissionDenied {
		t.Errorf("an operator: %v", err)
	}
}

func TestRenewedCertificateHasTheNameOfTheConnection(t *testing.T) {
	c := amphoratest.New(t)
	c.Start()
	row := put(t, c)
	client := dial(t, c, issue(t, c, row.ID))
	key, request, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.RenewCertificate(t.Context(), &agentapiv1.RenewCertificateRequest{SigningRequest: request})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(answer.GetChain(), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	if role, name, err := certs.Identity(pair.Leaf); err != nil || role != certs.RoleAmphora || name != row.ID {
		t.Errorf("it is for %s %s, %v", role, name, err)
	}
	row.Status = model.AmphoraPendingDelete
	if err := c.Store.PutAmphora(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	_, err = client.RenewCertificate(t.Context(), &agentapiv1.RenewCertificateRequest{SigningRequest: request})
	if grpcstatus.Code(err) != codes.FailedPrecondition {
		t.Errorf("an amphora that is being deleted: %v", err)
	}
}

func TestNewerStreamTakesOver(t *testing.T) {
	c := amphoratest.New(t)
	c.Start()
	row := put(t, c)
	client := dial(t, c, issue(t, c, row.ID))
	first := greet(t, client, row.ID, row.LoadBalancerID)
	if _, err := first.Recv(); err != nil {
		t.Fatal(err)
	}
	second := greet(t, client, row.ID, row.LoadBalancerID)
	if _, err := second.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Recv(); grpcstatus.Code(err) != codes.Aborted {
		t.Errorf("the older stream: %v", err)
	}
	if !c.Fleet.Connected(row.ID) {
		t.Error("the end of the older stream counted for the newer one")
	}
	c.Fleet.Forget(row.ID)
	if _, err := second.Recv(); grpcstatus.Code(err) != codes.Aborted {
		t.Errorf("the stream of a deleted amphora: %v", err)
	}
}

func TestSilentAgentIsGone(t *testing.T) {
	c := amphoratest.New(t)
	c.FleetOptions.SilentAfter = 50 * time.Millisecond
	c.Start()
	row := put(t, c)
	mute := greet(t, dial(t, c, issue(t, c, row.ID)), row.ID, row.LoadBalancerID)
	if _, err := mute.Recv(); err != nil {
		t.Fatal(err)
	}
	if _, err := mute.Recv(); grpcstatus.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the stream ended with %v", err)
	}
	testkit.Eventually(t, func() error {
		if c.Fleet.Connected(row.ID) {
			return errors.New("still connected")
		}
		return nil
	})
}

// answerProbes answers each probe with the next status, the last one for ever.
func answerProbes(opened stream, statuses ...*agentapiv1.EnvoyStatus) {
	for {
		instruction, err := opened.Recv()
		if err != nil {
			return
		}
		probe := instruction.GetProbe()
		if probe == nil {
			continue
		}
		_ = opened.Send(&agentapiv1.Report{Content: &agentapiv1.Report_ProbeResult{
			ProbeResult: &agentapiv1.ProbeResult{ProbeId: probe.GetProbeId(), Envoy: statuses[0]},
		}})
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
	}
}

func TestWarm(t *testing.T) {
	live := &agentapiv1.EnvoyStatus{State: agentapiv1.EnvoyStatus_RUNNING}
	for name, test := range map[string]struct {
		statuses []*agentapiv1.EnvoyStatus
		missing  string
	}{
		"live":           {statuses: []*agentapiv1.EnvoyStatus{live}},
		"becomes warm":   {statuses: []*agentapiv1.EnvoyStatus{{State: live.GetState(), WarmingListeners: 1}, live}},
		"waits for LDS":  {statuses: []*agentapiv1.EnvoyStatus{{State: agentapiv1.EnvoyStatus_STARTING, AwaitingListeners: true}}},
		"cluster warms":  {statuses: []*agentapiv1.EnvoyStatus{{State: live.GetState(), WarmingClusters: 2}}, missing: "2 clusters"},
		"listener warms": {statuses: []*agentapiv1.EnvoyStatus{{State: live.GetState(), WarmingListeners: 3}}, missing: "3 listeners"},
		"starts":         {statuses: []*agentapiv1.EnvoyStatus{{State: agentapiv1.EnvoyStatus_STARTING}}, missing: "STARTING"},
		"waits for LDS with a cluster that warms": {
			statuses: []*agentapiv1.EnvoyStatus{{State: agentapiv1.EnvoyStatus_STARTING, AwaitingListeners: true, WarmingClusters: 1}},
			missing:  "1 clusters",
		},
		"ended": {
			statuses: []*agentapiv1.EnvoyStatus{{State: agentapiv1.EnvoyStatus_BACKOFF, LastError: "signal: killed"}},
			missing:  "BACKOFF: signal: killed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := amphoratest.New(t)
			c.Start()
			row := put(t, c)
			opened := greet(t, dial(t, c, issue(t, c, row.ID)), row.ID, row.LoadBalancerID)
			go answerProbes(opened, test.statuses...)
			if err := c.Fleet.WaitConnected(t.Context(), row.ID); err != nil {
				t.Fatal(err)
			}
			patience := testkit.Patience
			if test.missing != "" {
				patience = 200 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := c.Fleet.Warm(ctx, row.ID)
			if test.missing == "" && err != nil {
				t.Error(err)
			}
			if test.missing != "" && (!errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), test.missing)) {
				t.Errorf("Warm() = %v, want it to name %q", err, test.missing)
			}
		})
	}
}

func TestWarmWaitsForTheAgent(t *testing.T) {
	c := amphoratest.New(t)
	c.Start()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.Fleet.Warm(ctx, "nobody")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), amphora.ErrNotConnected.Error()) {
		t.Errorf("Warm() = %v", err)
	}
}
