package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/vishvananda/netlink"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/driver/network"
)

// Info is what Neutron knows; *network.Neutron implements it.
type Info interface {
	PortInfo(ctx context.Context, id string) (network.PortInfo, error)
	SubnetInfo(ctx context.Context, id string) (network.SubnetInfo, error)
}

// Options are the parts of a Plumber.
type Options struct {
	Info Info
	// StateDir keeps what was plugged, one file an amphora. It has to survive a reboot.
	StateDir string
	Logger   *slog.Logger
}

// Plumber plugs VIPs into namespaces of this machine; it needs CAP_NET_ADMIN and CAP_SYS_ADMIN. It implements
// amphora.Network. Its methods are safe for concurrent use.
type Plumber struct {
	options Options
	mu      sync.Mutex // a bridge must not go while a port comes
}

// New makes a Plumber.
func New(options Options) *Plumber {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Plumber{options: options}
}

// Plug brings the load balancer's VIP to the namespace of an amphora, which it makes. It may be repeated.
func (p *Plumber) Plug(ctx context.Context, amphora model.Amphora, loadBalancer *model.LoadBalancer) error {
	drawn, err := draw(ctx, p.options.Info, amphora.ID, loadBalancer)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.savePlan(drawn); err != nil { // before anything exists
		return fmt.Errorf("remember what to plug: %w", err)
	}
	return p.realise(drawn)
}

// Replug does what Plug did, without asking Neutron.
func (p *Plumber) Replug(_ context.Context, amphora model.Amphora) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	drawn, err := p.loadPlan(amphora.ID)
	if err != nil {
		return err
	}
	if drawn == nil {
		return fmt.Errorf("amphora %s was never plugged here: %w", amphora.ID, os.ErrNotExist)
	}
	return p.realise(drawn)
}

// Unplug removes the amphora's namespace, its interfaces, and the bridge if that was its last port and is ours. It may be
// repeated, and takes up what an Unplug that was cut short left.
func (p *Plumber) Unplug(_ context.Context, amphora model.Amphora) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	drawn, err := p.loadPlan(amphora.ID)
	if err != nil {
		return err
	}
	networkID := ""
	if drawn != nil {
		networkID = drawn.NetworkID
	} else if networkID, err = networkOf(HostLinkName(amphora.ID)); err != nil { // the state directory was lost
		return err
	}
	if err := removeLink(HostLinkName(amphora.ID)); err != nil { // takes its other end along
		return err
	}
	if err := removeNamespace(amphora.ID); err != nil {
		return err
	}
	if networkID != "" {
		if err := removeIdleBridge(networkID); err != nil {
			return err
		}
	}
	return p.removePlan(amphora.ID)
}

func (p *Plumber) realise(drawn *plan) error {
	bridge, err := ensureBridge(drawn.NetworkID)
	if err != nil {
		return err
	}
	namespace, err := ensureNamespace(drawn.AmphoraID)
	if err != nil {
		return err
	}
	defer func() { _ = namespace.Close() }()
	inside, err := netlink.NewHandleAt(namespace)
	if err != nil {
		return fmt.Errorf("speak to the kernel in namespace %s: %w", NamespaceName(drawn.AmphoraID), err)
	}
	defer inside.Close()
	if err := ensurePair(drawn, bridge, inside, namespace); err != nil {
		return err
	}
	if err := p.configure(drawn, inside); err != nil {
		return err
	}
	err = awaitForwarding(HostLinkName(drawn.AmphoraID))
	if err = errors.Join(err, InNamespace(NamespacePath(drawn.AmphoraID), drawn.announce)); err != nil {
		p.options.Logger.Warn("the network may not know yet where the VIP is", "amphora", drawn.AmphoraID, "error", err)
	}
	p.options.Logger.Info("VIP plugged", "amphora", drawn.AmphoraID, "bridge", bridge.Attrs().Name,
		"namespace", NamespaceName(drawn.AmphoraID), "addresses", drawn.Addresses)
	return nil
}
