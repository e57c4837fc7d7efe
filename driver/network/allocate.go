package network

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/octavia-envoy/octavia-envoy/driver/model"
	"github.com/octavia-envoy/octavia-envoy/store"
)

// deviceOwner marks ports that Octavia may delete (octavia.common.constants.OCTAVIA_OWNER).
const deviceOwner = "Octavia"

func deviceID(loadBalancerID string) string { return "lb-" + loadBalancerID }

// AllocateVIP gives a load balancer the port of its VIPs: the user's own, checked, or one that is made. All addresses are on
// that one port. It may be repeated: a load balancer has one port. Errors are of type *Error.
func (n *Neutron) AllocateVIP(ctx context.Context, request model.VIPRequest) (model.VIPResult, error) {
	request.VIP.OctaviaOwned = false
	if request.VIP.PortID == "" {
		if err := n.chooseSubnet(ctx, &request.VIP); err != nil {
			return model.VIPResult{}, err
		}
	}
	if err := checkAdditional(request); err != nil {
		return model.VIPResult{}, err
	}
	if request.VIP.PortID != "" {
		return n.usersPort(ctx, request)
	}
	port, err := n.ownPort(ctx, request)
	if err != nil {
		return model.VIPResult{}, err
	}
	result, err := fill(request, port)
	if err != nil {
		return model.VIPResult{}, err
	}
	result.VIP.OctaviaOwned = true
	return result, nil
}

// usersPort checks a port that the user brings. It is never changed or deleted.
func (n *Neutron) usersPort(ctx context.Context, request model.VIPRequest) (model.VIPResult, error) {
	client, err := n.client(ctx)
	if err != nil {
		return model.VIPResult{}, err
	}
	port, err := ports.Get(ctx, client, request.VIP.PortID).Extract()
	if err != nil {
		return model.VIPResult{}, notFoundOr(err, "vip.vip_port_id", "port", request.VIP.PortID)
	}
	if network := request.VIP.NetworkID; network != "" && network != port.NetworkID {
		return model.VIPResult{}, &Error{
			Kind: ErrInvalid, Field: "vip.vip_network_id",
			Message: fmt.Sprintf("The port %s is not on network %s.", port.ID, network),
		}
	}
	return fill(request, port)
}

// ownPort returns the load balancer's port, made if it has none. The row is written first: a port can be found by its
// device_id, so that a crash between the two leaks nothing.
func (n *Neutron) ownPort(ctx context.Context, request model.VIPRequest) (*ports.Port, error) {
	row := store.VIPPort{LoadBalancerID: request.LoadBalancerID, ProjectID: request.ProjectID, CreatedAt: n.now()}
	if err := n.store.PutVIPPort(ctx, row); err != nil {
		return nil, unavailable("record the VIP port", err)
	}
	port, err := n.findPort(ctx, request.LoadBalancerID)
	if err != nil {
		return nil, err
	}
	if port != nil {
		if _, err := fill(request, port); err != nil { // other addresses were asked for the last time: no use to anybody
			if err := n.deletePort(ctx, port.ID); err != nil {
				return nil, err
			}
			port = nil
		}
	}
	if port == nil {
		if port, err = n.createPort(ctx, request); err != nil {
			if !errors.Is(err, ErrUnavailable) { // Neutron said no: there is no port
				err = errors.Join(err, n.store.DeleteVIPPort(ctx, request.LoadBalancerID))
			}
			return nil, err
		}
	}
	row.PortID = port.ID
	if err := n.store.PutVIPPort(ctx, row); err != nil {
		// The row without a port stands; GC finds the port by its device_id.
		return nil, unavailable("record the VIP port", err)
	}
	n.logger.Info("VIP port is ready", "lb", request.LoadBalancerID, "port", port.ID)
	return port, nil
}

func (n *Neutron) createPort(ctx context.Context, request model.VIPRequest) (*ports.Port, error) {
	vip := request.VIP
	fixed := []ports.IP{{SubnetID: vip.SubnetID, IPAddress: vip.Address}}
	for _, additional := range request.AdditionalVIPs {
		fixed = append(fixed, ports.IP{SubnetID: additional.SubnetID, IPAddress: additional.IPAddress})
	}
	options := ports.CreateOpts{
		Name: "octavia-lb-" + request.LoadBalancerID, NetworkID: vip.NetworkID, AdminStateUp: new(false),
		DeviceID: deviceID(request.LoadBalancerID), DeviceOwner: deviceOwner, ProjectID: request.ProjectID,
		FixedIPs: fixed,
	}
	if len(vip.SGIDs) > 0 {
		options.SecurityGroups = &vip.SGIDs
	}
	client, err := n.client(ctx)
	if err != nil {
		return nil, err
	}
	port, err := ports.Create(ctx, client, options).Extract()
	if err != nil {
		return nil, createError(err, request)
	}
	return port, nil
}

// findPort returns the port that was made for a load balancer, nil if there is none.
func (n *Neutron) findPort(ctx context.Context, loadBalancerID string) (*ports.Port, error) {
	client, err := n.client(ctx)
	if err != nil {
		return nil, err
	}
	pages, err := ports.List(client, ports.ListOpts{
		DeviceID: deviceID(loadBalancerID), DeviceOwner: deviceOwner,
	}).AllPages(ctx)
	if err != nil {
		return nil, unavailable("look for the VIP port", err)
	}
	found, err := ports.ExtractPorts(pages)
	if err != nil {
		return nil, unavailable("look for the VIP port", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

func (n *Neutron) deletePort(ctx context.Context, id string) error {
	n.forgetPort(id)
	client, err := n.client(ctx)
	if err != nil {
		return err
	}
	err = ports.Delete(ctx, client, id).ExtractErr()
	if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		return unavailable("delete port "+id, err)
	}
	return nil
}
