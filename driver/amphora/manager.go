package amphora

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
)

// RoleStandalone is the role of an amphora that serves its load balancer alone (octavia.common.constants).
const RoleStandalone = "STANDALONE"

// ManagerOptions are the parts of a Manager. Store, Fleet, Compute and Network are needed.
type ManagerOptions struct {
	Store   Store
	Fleet   *Fleet
	Compute Compute
	Network Network
	Logger  *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// NewID makes ids of amphorae; nil makes random UUIDs.
	NewID func() string
	// WatchEvery is how often Watch looks; 0 is DefaultWatchEvery.
	WatchEvery time.Duration
}

// Manager builds, keeps and deletes the amphorae of load balancers. Its methods are safe for concurrent use; those of one
// load balancer take turns.
type Manager struct {
	options ManagerOptions
	locks   keyedLocks
}

// NewManager makes a Manager.
func NewManager(options ManagerOptions) *Manager {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.NewID == nil {
		options.NewID = uuid.NewString
	}
	if options.WatchEvery == 0 {
		options.WatchEvery = DefaultWatchEvery
	}
	return &Manager{options: options}
}

// Ensure returns the load balancer's amphorae, running and with their agents connected. It builds what is missing and goes
// on with what an earlier call began. What it could not finish before ctx ended it leaves for the next call.
func (m *Manager) Ensure(ctx context.Context, loadBalancer *model.LoadBalancer) ([]model.Amphora, error) {
	unlock, err := m.locks.lock(ctx, loadBalancer.ID)
	if err != nil {
		return nil, err
	}
	defer unlock()
	amphorae, err := m.options.Store.Amphorae(ctx, loadBalancer.ID)
	if err != nil {
		return nil, err
	}
	kept := amphorae[:0]
	for _, amphora := range amphorae {
		if amphora.Status != model.AmphoraPendingDelete {
			kept = append(kept, amphora)
			continue
		}
		if err := m.remove(ctx, amphora); err != nil {
			return nil, err
		}
	}
	if len(kept) == 0 {
		kept = append(kept, model.Amphora{
			ID: m.options.NewID(), LoadBalancerID: loadBalancer.ID, Status: model.AmphoraBooting, Role: RoleStandalone,
			Compute: m.options.Compute.Name(), CreatedAt: m.options.Now(),
		})
		if err := m.options.Store.PutAmphora(ctx, kept[0]); err != nil {
			return nil, err
		}
	}
	for i := range kept {
		if err := m.ensure(ctx, &kept[i], loadBalancer); err != nil {
			return nil, fmt.Errorf("amphora %s: %w", kept[i].ID, err)
		}
	}
	return kept, nil
}

func (m *Manager) ensure(ctx context.Context, amphora *model.Amphora, loadBalancer *model.LoadBalancer) error {
	if amphora.Status == model.AmphoraAllocated && m.options.Fleet.Connected(amphora.ID) {
		return nil
	}
	started := m.options.Now()
	if err := m.options.Network.Plug(ctx, *amphora, loadBalancer); err != nil {
		return fmt.Errorf("plug the VIP: %w", err)
	}
	spec := Spec{Amphora: *amphora, LoadBalancer: loadBalancer}
	computeID, err := m.options.Compute.Build(ctx, spec)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	if computeID != amphora.ComputeID {
		amphora.ComputeID = computeID // before the wait: a crash must not lose it
		if err := m.options.Store.PutAmphora(ctx, *amphora); err != nil {
			return err
		}
	}
	if err := m.connect(ctx, spec); err != nil {
		state, stateErr := m.options.Compute.Status(context.WithoutCancel(ctx), *amphora)
		if stateErr != nil {
			state = State(stateErr.Error())
		}
		return fmt.Errorf("%w (its agent is %s; compute id %s)", err, state, amphora.ComputeID)
	}
	if amphora.Status != model.AmphoraAllocated {
		amphora.Status = model.AmphoraAllocated
		if err := m.options.Store.PutAmphora(ctx, *amphora); err != nil {
			return err
		}
		m.options.Logger.Info("amphora is ready", "amphora", amphora.ID, "lb", loadBalancer.ID,
			"took", m.options.Now().Sub(started).String())
	}
	return nil
}

// connect waits until the agent of an amphora that is built is connected. One that ends meanwhile is started again here:
// Watch would wait for the lock that Ensure holds.
func (m *Manager) connect(ctx context.Context, spec Spec) error {
	var tried revival
	for {
		wait, cancel := context.WithTimeout(ctx, m.options.WatchEvery)
		err := m.options.Fleet.WaitConnected(wait, spec.Amphora.ID)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		state, err := m.options.Compute.Status(ctx, spec.Amphora)
		if err != nil {
			return err
		}
		if state != StateDead || !tried.due(m.options.Now(), m.options.WatchEvery) {
			continue
		}
		m.options.Logger.Warn("the amphora's agent has ended: starting it again", "amphora", spec.Amphora.ID,
			"lb", spec.Amphora.LoadBalancerID)
		if _, err := m.options.Compute.Build(ctx, spec); err != nil {
			return fmt.Errorf("start again: %w", err)
		}
	}
}

// Delete leaves nothing of the load balancer's amphorae: no process, network device, file or row. It tries all of them
// before it returns an error, and may be repeated.
func (m *Manager) Delete(ctx context.Context, loadBalancerID string) error {
	unlock, err := m.locks.lock(ctx, loadBalancerID)
	if err != nil {
		return err
	}
	defer unlock()
	amphorae, err := m.options.Store.Amphorae(ctx, loadBalancerID)
	if err != nil {
		return err
	}
	var errs []error
	for _, amphora := range amphorae {
		errs = append(errs, m.remove(ctx, amphora))
	}
	return errors.Join(errs...)
}

func (m *Manager) remove(ctx context.Context, amphora model.Amphora) error {
	if amphora.Status != model.AmphoraPendingDelete {
		amphora.Status = model.AmphoraPendingDelete
		if err := m.options.Store.PutAmphora(ctx, amphora); err != nil {
			return fmt.Errorf("delete amphora %s: %w", amphora.ID, err)
		}
	}
	if err := m.options.Compute.Delete(ctx, amphora); err != nil {
		return fmt.Errorf("delete amphora %s: %w", amphora.ID, err)
	}
	if err := m.options.Network.Unplug(ctx, amphora); err != nil {
		return fmt.Errorf("delete amphora %s: unplug: %w", amphora.ID, err)
	}
	if err := m.options.Store.DeleteAmphora(ctx, amphora.ID); err != nil {
		return fmt.Errorf("delete amphora %s: %w", amphora.ID, err)
	}
	m.options.Fleet.Forget(amphora.ID)
	m.options.Logger.Info("amphora deleted", "amphora", amphora.ID, "lb", amphora.LoadBalancerID)
	return nil
}
