package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/octavia-envoy/octavia-envoy/api"
	"github.com/octavia-envoy/octavia-envoy/driver/config"
	"github.com/octavia-envoy/octavia-envoy/driver/secrets"
)

func statusCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "status [load balancer id]",
		Short: "Show load balancers, their amphorae, what Envoy acknowledged or refused, and how members are",
		Long: `Asks the running controller, through its API's unix socket, for every load balancer (or the one named): what was
reported to Octavia, its certificates, its amphorae, and of each xDS resource the version that was sent and the one that Envoy has
acknowledged. What Envoy refused is shown with Envoy's own sentence. Of members with a health monitor it shows how each amphora
sees them, what the last check failed by, and for how long; of all load balancers only those that are down.

Calls are accepted ones that are not finished; statuses are messages that Octavia has not taken yet.`,
		Example: `  octavia-envoy status
  octavia-envoy status 0e56a5c9-2f33-4f3b-8a8c-6f4f3d1d5b1e
  octavia-envoy status --json | jq '.loadbalancers[] | select(.last_error != "")'`,
		Args: cobra.MaximumNArgs(1),
	}
	socket := command.Flags().String("socket", config.Default().API.UnixSocket, "the controller's API socket")
	asJSON := command.Flags().Bool("json", false, "print the answer as it is, in JSON")
	command.RunE = func(command *cobra.Command, args []string) error {
		path := "/v1/status"
		if len(args) == 1 {
			path += "/" + args[0]
		}
		body, err := ask(command.Context(), *socket, path)
		if err != nil {
			return err
		}
		if *asJSON {
			_, err := command.OutOrStdout().Write(append(body, '\n'))
			return err
		}
		var report api.StatusReport
		if err := json.Unmarshal(body, &report); err != nil {
			return fmt.Errorf("the controller's answer: %w", err)
		}
		return printStatus(command.OutOrStdout(), report, len(args) == 1)
	}
	return command
}

// askTimeout bounds a question to the controller.
const askTimeout = 30 * time.Second

// ask sends a GET request to the controller's unix socket.
func ask(ctx context.Context, socket, path string) ([]byte, error) {
	client := &http.Client{Timeout: askTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://controller"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no controller answers on %s (is it running? --socket names another): %w", socket, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the controller's answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var refusal struct {
			Error struct {
				Message string `json:"message"`
				Detail  string `json:"detail"`
			} `json:"error"`
		}
		if json.Unmarshal(body, &refusal) == nil && refusal.Error.Message != "" {
			return nil, errors.New(refusal.Error.Message + " " + refusal.Error.Detail)
		}
		return nil, fmt.Errorf("the controller answers %s", response.Status)
	}
	return body, nil
}

// printStatus writes a line a load balancer, and below it what an operator has to know; all resources when in detail.
func printStatus(out io.Writer, report api.StatusReport, detail bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "LOAD BALANCER\tNAME\tPROVISIONING\tOPERATING\tREVISION\tCALLS\tSTATUSES\tAMPHORAE")
	for _, lb := range report.LoadBalancers {
		connected := 0
		for _, amphora := range lb.Amphorae {
			if amphora.Connected {
				connected++
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d of %d connected\n", lb.ID, lb.Name, lb.ProvisioningStatus,
			lb.OperatingStatus, lb.Revision, lb.PendingIntents, lb.PendingStatuses, connected, len(lb.Amphorae))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, lb := range report.LoadBalancers {
		if lb.LastError != "" {
			fmt.Fprintf(out, "\n%s: %s\n", lb.ID, lb.LastError)
		}
		if err := printCertificates(out, lb.Certificates, detail); err != nil {
			return err
		}
		for _, amphora := range lb.Amphorae {
			if err := printAmphora(out, amphora, detail); err != nil {
				return err
			}
			if err := printHealth(out, amphora); err != nil {
				return err
			}
		}
	}
	return nil
}

// printCertificates writes the certificates of a load balancer: all in detail, else those that need an eye.
func printCertificates(out io.Writer, certificates []api.CertificateStatus, detail bool) error {
	var shown []api.CertificateStatus
	for _, certificate := range certificates {
		good := certificate.Validity == string(secrets.Valid) && (certificate.Staple == "" || certificate.Staple == "stapled")
		if detail || !good {
			shown = append(shown, certificate)
		}
	}
	if len(shown) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  CERTIFICATE\tSUBJECT\tUNTIL\tVALIDITY\tOCSP")
	for _, certificate := range shown {
		staple := certificate.Staple
		if staple == "" {
			staple = "-"
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", certificate.Name, certificate.Subject,
			certificate.NotAfter.UTC().Format(time.DateTime), certificate.Validity, staple)
	}
	return table.Flush()
}

// printAmphora writes the resources of an amphora: all in detail, else those that it does not have as it should.
func printAmphora(out io.Writer, amphora api.AmphoraStatus, detail bool) error {
	var shown []api.ResourceStatus
	for _, resource := range amphora.Resources {
		if detail || resource.Error != "" || resource.Sent != resource.Acknowledged {
			shown = append(shown, resource)
		}
	}
	if len(shown) == 0 && !detail && len(amphora.Members)+len(amphora.FullListeners) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\namphora %s  %s  %s  last heard %s\n", amphora.ID, amphora.Role, amphora.Status, ago(amphora.LastHeartbeat))
	if len(shown) == 0 && !detail {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  TYPE\tRESOURCE\tSENT\tACKNOWLEDGED\tENVOY SAYS")
	for _, resource := range shown {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", resource.Type, resource.Name, short(resource.Sent),
			short(resource.Acknowledged), resource.Error)
	}
	return table.Flush()
}

// printHealth writes how an amphora sees members and listeners.
func printHealth(out io.Writer, amphora api.AmphoraStatus) error {
	for _, listener := range amphora.FullListeners {
		fmt.Fprintf(out, "  listener %s is at its connection limit\n", listener)
	}
	if len(amphora.Members) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  MEMBER\tNAME\tADDRESS\tPOOL\tSEEN\tSINCE\tFAILURE")
	for _, member := range amphora.Members {
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", member.ID, member.Name, member.Address, member.PoolID,
			member.State, ago(member.Since), member.Failure)
	}
	return table.Flush()
}

func ago(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return time.Since(at).Round(time.Second).String() + " ago"
}

// short is enough of a version to tell two apart.
func short(version string) string {
	const enough = 12
	if version == "" {
		return "-"
	}
	return version[:min(len(version), enough)]
}
