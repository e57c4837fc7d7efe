"""The provider driver that octavia-api loads (entry point ``envoy`` of ``octavia.api.drivers``)."""

from __future__ import annotations

import http
import urllib.parse
from collections.abc import Sequence
from typing import Any

from octavia_lib.api.drivers import data_models, provider_base
from octavia_lib.api.drivers import exceptions as lib_exceptions

from octavia_envoy_provider import client, config, errors, identity, payload, request

_ADDITIONAL_VIP_KEYS = ("ip_address", "network_id", "port_id", "subnet_id")


class EnvoyProviderDriver(provider_base.ProviderDriver):
    """Hands each call to the octavia-envoy controller and returns when the controller has stored it.

    Octavia calls these methods inside its database transaction and rolls it back when one raises. The calls, when they
    come and what Octavia makes of an exception: octavia/api/v2/controllers, octavia/api/drivers/utils.py:call_provider.

    Every method may raise, from octavia_lib.api.drivers.exceptions,

    * UnsupportedOptionError (HTTP 501): the controller does not support a value, or it is wrong, or there is too much
      of it; its text is for the user, who can change it;
    * NotImplementedError (501): the controller does not support the call;
    * Conflict (409): something is taken. Octavia says that of the VIP's address, whatever the method;
    * NotFound, DriverError (500): anything else. An option of octavia.conf is wrong, the controller cannot be reached,
      does not answer in time, or could not store the call.

    The constructor is the base's: Octavia makes a driver for each API request.
    """

    # Load balancers

    def create_vip_port(
        self,
        loadbalancer_id: str,
        project_id: str,
        vip_dictionary: dict[str, Any],
        additional_vip_dicts: Sequence[dict[str, Any]] | None = None,
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Have the VIP's port made, before the load balancer. Source: POST /v2.0/lbaas/loadbalancers.

        :returns: the VIP with its port, the additional VIPs with theirs.
        :raises NotImplementedError: the controller leaves that to Octavia; no error for Octavia.
        """
        body = {
            "loadbalancer_id": loadbalancer_id,
            "project_id": project_id,
            "vip": payload.plain(vip_dictionary, "vip"),
            "additional_vips": payload.plain(additional_vip_dicts or [], "additional_vips"),
        }
        answer = self._call("POST", "/v1/vip-ports", body=body, expect=http.HTTPStatus.OK, project_id=project_id)
        return _vips(answer)

    def loadbalancer_create(self, loadbalancer: data_models.LoadBalancer) -> None:
        """Create a load balancer and all that is below it. Source: POST /v2.0/lbaas/loadbalancers."""
        self._create(("v1", "loadbalancers"), loadbalancer)

    def loadbalancer_update(
        self, old_loadbalancer: data_models.LoadBalancer, new_loadbalancer: data_models.LoadBalancer
    ) -> None:
        """Change a load balancer. Source: PUT /v2.0/lbaas/loadbalancers/{id}, whose vip_sg_ids Octavia leaves out."""
        self._update(
            ("v1", "loadbalancers"),
            old_loadbalancer,
            new_loadbalancer,
            "loadbalancer_id",
            withheld=request.security_groups(),
        )

    def loadbalancer_delete(self, loadbalancer: data_models.LoadBalancer, cascade: bool = False) -> None:
        """Delete a load balancer. Source: DELETE /v2.0/lbaas/loadbalancers/{id}.

        :param cascade: with all that is below it. Octavia refuses to delete one with children without it.
        """
        path = _path("v1", "loadbalancers", payload.required_id("loadbalancer_id", loadbalancer))
        self._delete(path, loadbalancer, {"cascade": "true" if cascade else "false"})

    def loadbalancer_failover(self, loadbalancer_id: str) -> None:
        """Build a load balancer anew. Source: PUT /v2.0/lbaas/loadbalancers/{id}/failover, by administrators."""
        self._call("POST", _path("v1", "loadbalancers", loadbalancer_id, "failover"), body={})

    def loadbalancer_failover_with_flavor(self, loadbalancer_id: str, flavor_id: str | dict[str, Any]) -> None:
        """Build a load balancer anew with another flavor. Octavia defines this call and never makes it.

        :param flavor_id: the flavor's id, sent as ``{"flavor": {"id": …}}``, or its metadata.
        """
        flavor = {"id": flavor_id} if isinstance(flavor_id, str) else payload.plain(flavor_id, "flavor")
        self._call("POST", _path("v1", "loadbalancers", loadbalancer_id, "failover"), body={"flavor": flavor})

    # Listeners

    def listener_create(self, listener: data_models.Listener) -> None:
        """Create a listener. Source: POST /v2.0/lbaas/listeners."""
        self._create(("v1", "listeners"), listener)

    def listener_update(self, old_listener: data_models.Listener, new_listener: data_models.Listener) -> None:
        """Change a listener. Source: PUT /v2.0/lbaas/listeners/{id}."""
        self._update(("v1", "listeners"), old_listener, new_listener, "listener_id", "loadbalancer_id")

    def listener_delete(self, listener: data_models.Listener) -> None:
        """Delete a listener. Source: DELETE /v2.0/lbaas/listeners/{id}."""
        path = _path("v1", "listeners", payload.required_id("listener_id", listener))
        self._delete(path, listener, _hint("loadbalancer_id", listener))

    # Pools

    def pool_create(self, pool: data_models.Pool) -> None:
        """Create a pool. Source: POST /v2.0/lbaas/pools."""
        self._create(("v1", "pools"), pool)

    def pool_update(self, old_pool: data_models.Pool, new_pool: data_models.Pool) -> None:
        """Change a pool. Source: PUT /v2.0/lbaas/pools/{id}."""
        self._update(("v1", "pools"), old_pool, new_pool, "pool_id", "loadbalancer_id")

    def pool_delete(self, pool: data_models.Pool) -> None:
        """Delete a pool, its members and its health monitor. Source: DELETE /v2.0/lbaas/pools/{id}."""
        path = _path("v1", "pools", payload.required_id("pool_id", pool))
        self._delete(path, pool, _hint("loadbalancer_id", pool))

    # Members

    def member_create(self, member: data_models.Member) -> None:
        """Add a member to a pool. Source: POST /v2.0/lbaas/pools/{pool}/members."""
        self._create(_members(member), member)

    def member_update(self, old_member: data_models.Member, new_member: data_models.Member) -> None:
        """Change a member. Source: PUT /v2.0/lbaas/pools/{pool}/members/{id}."""
        self._update(_members(new_member, old_member), old_member, new_member, "member_id", "pool_id")

    def member_delete(self, member: data_models.Member) -> None:
        """Remove a member. Source: DELETE /v2.0/lbaas/pools/{pool}/members/{id}."""
        self._delete(_path(*_members(member), payload.required_id("member_id", member)), member)

    def member_batch_update(self, pool_id: str, members: Sequence[data_models.Member]) -> None:
        """Replace the members of a pool. Source: PUT /v2.0/lbaas/pools/{pool}/members.

        :param members: all members that the pool is to have. Those that it has and that are missing here are deleted.
        """
        members = members or []
        project_id = payload.optional_id(members[0], "project_id") if members else None
        body = {"members": payload.plain(members, "members")}
        self._call("PUT", _path("v1", "pools", pool_id, "members"), body=body, project_id=project_id)

    # Health monitors

    def health_monitor_create(self, healthmonitor: data_models.HealthMonitor) -> None:
        """Create the health monitor of a pool. Source: POST /v2.0/lbaas/healthmonitors."""
        self._create(("v1", "healthmonitors"), healthmonitor)

    def health_monitor_update(
        self, old_healthmonitor: data_models.HealthMonitor, new_healthmonitor: data_models.HealthMonitor
    ) -> None:
        """Change a health monitor. Source: PUT /v2.0/lbaas/healthmonitors/{id}."""
        self._update(("v1", "healthmonitors"), old_healthmonitor, new_healthmonitor, "healthmonitor_id", "pool_id")

    def health_monitor_delete(self, healthmonitor: data_models.HealthMonitor) -> None:
        """Delete a health monitor. Source: DELETE /v2.0/lbaas/healthmonitors/{id}."""
        path = _path("v1", "healthmonitors", payload.required_id("healthmonitor_id", healthmonitor))
        self._delete(path, healthmonitor, _hint("pool_id", healthmonitor))

    # L7 policies

    def l7policy_create(self, l7policy: data_models.L7Policy) -> None:
        """Create an L7 policy. Source: POST /v2.0/lbaas/l7policies."""
        self._create(("v1", "l7policies"), l7policy)

    def l7policy_update(self, old_l7policy: data_models.L7Policy, new_l7policy: data_models.L7Policy) -> None:
        """Change an L7 policy. Source: PUT /v2.0/lbaas/l7policies/{id}."""
        self._update(("v1", "l7policies"), old_l7policy, new_l7policy, "l7policy_id", "listener_id")

    def l7policy_delete(self, l7policy: data_models.L7Policy) -> None:
        """Delete an L7 policy and its rules. Source: DELETE /v2.0/lbaas/l7policies/{id}."""
        path = _path("v1", "l7policies", payload.required_id("l7policy_id", l7policy))
        self._delete(path, l7policy, _hint("listener_id", l7policy))

    # L7 rules

    def l7rule_create(self, l7rule: data_models.L7Rule) -> None:
        """Add a rule to an L7 policy. Source: POST /v2.0/lbaas/l7policies/{policy}/rules."""
        self._create(_rules(l7rule), l7rule)

    def l7rule_update(self, old_l7rule: data_models.L7Rule, new_l7rule: data_models.L7Rule) -> None:
        """Change a rule. Source: PUT /v2.0/lbaas/l7policies/{policy}/rules/{id}."""
        self._update(_rules(new_l7rule, old_l7rule), old_l7rule, new_l7rule, "l7rule_id", "l7policy_id")

    def l7rule_delete(self, l7rule: data_models.L7Rule) -> None:
        """Remove a rule. Source: DELETE /v2.0/lbaas/l7policies/{policy}/rules/{id}."""
        self._delete(_path(*_rules(l7rule), payload.required_id("l7rule_id", l7rule)), l7rule)

    # Flavors

    def get_supported_flavor_metadata(self) -> dict[str, str]:
        """Return the keys that a flavor may have, with their descriptions.

        Source: GET /v2.0/lbaas/providers/{provider}/flavor_capabilities. Octavia does not wrap this call: a
        NotImplementedError becomes 501, anything else 500 with the exception's text, which is the user's.
        """
        return self._capabilities("/v1/flavor-capabilities")

    def validate_flavor(self, flavor_metadata: dict[str, Any] | None) -> None:
        """Raise unless a flavor is supported. Source: POST and PUT of flavor profiles, POST of load balancers."""
        self._validate("/v1/flavors/validate", flavor_metadata, "flavor")

    # Availability zones

    def get_supported_availability_zone_metadata(self) -> dict[str, str]:
        """Return the keys that an availability zone may have, with their descriptions.

        Source: GET /v2.0/lbaas/providers/{provider}/availability_zone_capabilities; unwrapped as that of flavors.
        """
        return self._capabilities("/v1/availability-zone-capabilities")

    def validate_availability_zone(self, availability_zone_metadata: dict[str, Any] | None) -> None:
        """Raise unless a zone is supported. Source: as for validate_flavor."""
        self._validate("/v1/availability-zones/validate", availability_zone_metadata, "availability_zone")

    # What they have in common

    def _create(self, collection: Sequence[str], obj: Any) -> None:
        self._call(
            "POST", _path(*collection), body=payload.plain(obj), project_id=payload.optional_id(obj, "project_id")
        )

    def _update(
        self,
        collection: Sequence[str],
        old: Any,
        new: Any,
        id_attribute: str,
        *parents: str,
        withheld: dict[str, Any] | None = None,
    ) -> None:
        path = _path(*collection, payload.required_id(id_attribute, new, old))
        project_id = payload.optional_id(new, "project_id") or payload.optional_id(old, "project_id")
        body = {**(withheld or {}), **payload.patch(old, new, id_attribute, *parents)}
        self._call("PUT", path, body=body, project_id=project_id)

    def _delete(self, path: str, obj: Any, query: dict[str, str] | None = None) -> None:
        self._call("DELETE", path, query=query, project_id=payload.optional_id(obj, "project_id"))

    def _capabilities(self, path: str) -> dict[str, str]:
        answer = self._call("GET", path, expect=http.HTTPStatus.OK)
        # Octavia gives both to WSME as they are.
        return {str(key): str(description) for key, description in answer.items()}

    def _validate(self, path: str, metadata: Any, where: str) -> None:
        # None is a profile of the text "null", of which Octavia could make no load balancer: the controller refuses it.
        metadata = {} if payload.is_unset(metadata) else payload.plain(metadata, where)
        self._call("POST", path, body=metadata, expect=http.HTTPStatus.NO_CONTENT)

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Any = client.NOTHING,
        query: dict[str, str] | None = None,
        expect: int = http.HTTPStatus.ACCEPTED,
        project_id: str | None = None,
    ) -> Any:
        return client.call(
            config.load(),
            method,
            path,
            expect=expect,
            headers=identity.headers(project_id),
            query=query,
            body=body,
        )


def _path(*segments: str) -> str:
    """Return an URL path. :raises DriverError: a segment is empty or no string, as when an id is missing."""
    for segment in segments:
        if not isinstance(segment, str) or not segment:
            raise errors.unsendable("a path", f"an id is {'empty' if segment == '' else type(segment).__name__}")
    return "".join("/" + urllib.parse.quote(segment, safe="") for segment in segments)


def _members(*objects: Any) -> tuple[str, ...]:
    return "v1", "pools", payload.required_id("pool_id", *objects), "members"


def _rules(*objects: Any) -> tuple[str, ...]:
    return "v1", "l7policies", payload.required_id("l7policy_id", *objects), "rules"


def _hint(attribute: str, obj: Any) -> dict[str, str]:
    """Return the query that spares the controller a look-up, {} if Octavia did not say."""
    value = payload.optional_id(obj, attribute)
    return {attribute: value} if value else {}


def _vips(answer: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what Octavia writes to its VIP rows.

    It makes an AdditionalVip of each of the additional ones by keyword, so those must not have other keys, and it
    overwrites address and port, so the VIP must have both.

    :raises DriverError: the controller's answer has no VIP or no list of additional ones.
    """
    vip, additional = answer.get("vip"), answer.get("additional_vips") or []
    listed = isinstance(additional, list) and all(isinstance(each, dict) for each in additional)
    if not listed or not isinstance(vip, dict) or not vip.get("vip_address") or not vip.get("vip_port_id"):
        raise lib_exceptions.DriverError(
            user_fault_string="The load balancing provider could not make a port for the virtual IP address.",
            operator_fault_string="the octavia-envoy controller's answer to POST /v1/vip-ports has no vip with "
            "vip_address and vip_port_id, or no list additional_vips",
        )
    return vip, [{k: each[k] for k in _ADDITIONAL_VIP_KEYS if k in each} for each in additional]
