"""Each method of the provider contract: method, path, query and body of the one request it sends."""

import inspect
import json

import pytest
from octavia_lib.api.drivers import data_models as dm
from octavia_lib.api.drivers import provider_base

from octavia_envoy_provider.driver import EnvoyProviderDriver
from tests import trees


def expected(obj):
    """Return what to_dict makes of a tree in which nothing is odd, without the stale default_pool of listeners."""
    body = obj.to_dict(recurse=True, render_unsets=False)
    body.pop("default_pool", None)
    for listener in body.get("listeners", []):
        listener.pop("default_pool", None)
    return body


LB = trees.loadbalancer()
OLD_MEMBER = trees.member()
CASES = {
    "loadbalancer_create": ([LB], "POST", "/v1/loadbalancers", {}, expected(LB)),
    "loadbalancer_update": (
        [LB, dm.LoadBalancer(loadbalancer_id="lb-1", name="new", vip_qos_policy_id=None)],
        "PUT",
        "/v1/loadbalancers/lb-1",
        {},
        {"loadbalancer_id": "lb-1", "name": "new", "vip_qos_policy_id": None},
    ),
    "loadbalancer_delete": ([LB], "DELETE", "/v1/loadbalancers/lb-1", {"cascade": "false"}, None),
    "loadbalancer_delete cascade": ([LB, True], "DELETE", "/v1/loadbalancers/lb-1", {"cascade": "true"}, None),
    "loadbalancer_failover": (["lb-1"], "POST", "/v1/loadbalancers/lb-1/failover", {}, {}),
    "loadbalancer_failover_with_flavor": (
        ["lb-1", "fl-1"],
        "POST",
        "/v1/loadbalancers/lb-1/failover",
        {},
        {"flavor": {"id": "fl-1"}},
    ),
    "loadbalancer_failover_with_flavor metadata": (
        ["lb-1", {"topology": "SINGLE", "x": dm.Unset}],
        "POST",
        "/v1/loadbalancers/lb-1/failover",
        {},
        {"flavor": {"topology": "SINGLE"}},
    ),
    "listener_create": ([trees.listener()], "POST", "/v1/listeners", {}, expected(trees.listener())),
    "listener_update": (
        [trees.listener(), dm.Listener(listener_id="li-1", default_pool_id=None, default_pool=None, name="n")],
        "PUT",
        "/v1/listeners/li-1",
        {},
        {"listener_id": "li-1", "loadbalancer_id": "lb-1", "default_pool_id": None, "name": "n"},
    ),
    "listener_delete": ([trees.listener()], "DELETE", "/v1/listeners/li-1", {"loadbalancer_id": "lb-1"}, None),
    "listener_delete without parent": ([dm.Listener(listener_id="li-1")], "DELETE", "/v1/listeners/li-1", {}, None),
    "pool_create": ([trees.pool()], "POST", "/v1/pools", {}, expected(trees.pool())),
    "pool_update": (
        [trees.pool(), dm.Pool(pool_id="p-1", session_persistence=None, lb_algorithm="LEAST_CONNECTIONS")],
        "PUT",
        "/v1/pools/p-1",
        {},
        {
            "pool_id": "p-1",
            "loadbalancer_id": "lb-1",
            "session_persistence": None,
            "lb_algorithm": "LEAST_CONNECTIONS",
        },
    ),
    "pool_delete": ([trees.pool()], "DELETE", "/v1/pools/p-1", {"loadbalancer_id": "lb-1"}, None),
    "member_create": ([OLD_MEMBER], "POST", "/v1/pools/p-1/members", {}, expected(OLD_MEMBER)),
    "member_update": (
        [OLD_MEMBER, dm.Member(member_id="m-1", weight=0, monitor_port=None)],
        "PUT",
        "/v1/pools/p-1/members/m-1",
        {},
        {"member_id": "m-1", "pool_id": "p-1", "weight": 0, "monitor_port": None},
    ),
    "member_delete": ([OLD_MEMBER], "DELETE", "/v1/pools/p-1/members/m-1", {}, None),
    "member_batch_update": (
        ["p-1", [OLD_MEMBER, dm.Member(member_id="m-3", address="192.0.2.12", name=dm.Unset, subnet_id=None)]],
        "PUT",
        "/v1/pools/p-1/members",
        {},
        {"members": [expected(OLD_MEMBER), {"member_id": "m-3", "address": "192.0.2.12", "subnet_id": None}]},
    ),
    "member_batch_update of none": (["p-1", []], "PUT", "/v1/pools/p-1/members", {}, {"members": []}),
    "health_monitor_create": (
        [trees.healthmonitor()],
        "POST",
        "/v1/healthmonitors",
        {},
        expected(trees.healthmonitor()),
    ),
    "health_monitor_update": (
        [trees.healthmonitor(), dm.HealthMonitor(healthmonitor_id="hm-1", delay=9)],
        "PUT",
        "/v1/healthmonitors/hm-1",
        {},
        {"healthmonitor_id": "hm-1", "pool_id": "p-1", "delay": 9},
    ),
    "health_monitor_delete": (
        [trees.healthmonitor()],
        "DELETE",
        "/v1/healthmonitors/hm-1",
        {"pool_id": "p-1"},
        None,
    ),
    "l7policy_create": ([trees.l7policy()], "POST", "/v1/l7policies", {}, expected(trees.l7policy())),
    "l7policy_update": (
        [trees.l7policy(), dm.L7Policy(l7policy_id="pol-1", position=2147483647)],
        "PUT",
        "/v1/l7policies/pol-1",
        {},
        {"l7policy_id": "pol-1", "listener_id": "li-1", "position": 2147483647},
    ),
    "l7policy_delete": ([trees.l7policy()], "DELETE", "/v1/l7policies/pol-1", {"listener_id": "li-1"}, None),
    "l7rule_create": ([trees.l7rule()], "POST", "/v1/l7policies/pol-1/rules", {}, expected(trees.l7rule())),
    "l7rule_update": (
        [trees.l7rule(), dm.L7Rule(l7rule_id="r-1", value="/y", key=None)],
        "PUT",
        "/v1/l7policies/pol-1/rules/r-1",
        {},
        {"l7rule_id": "r-1", "l7policy_id": "pol-1", "value": "/y", "key": None},
    ),
    "l7rule_delete": ([trees.l7rule()], "DELETE", "/v1/l7policies/pol-1/rules/r-1", {}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_request(case, driver, controller):
    args, method, path, query, body = CASES[case]
    before = repr(args)

    assert getattr(driver, case.split()[0])(*args) is None

    request = controller.only
    assert (request.method, request.path, request.query, request.body) == (method, path, query, body)
    assert request.headers["user-agent"].startswith("octavia-envoy-provider/0.")
    assert request.headers["accept"] == "application/json"
    assert request.headers.get("content-type") == ("application/json" if body is not None else None)
    assert repr(args) == before, "Octavia's objects were changed"


@pytest.mark.parametrize(
    ("metadata", "body"),
    [
        ({"topology": "SINGLE", "nothing": None, "unset": dm.Unset}, {"topology": "SINGLE", "nothing": None}),
        ({"nested": {"unset": dm.Unset, "list": [dm.Unset, 1]}}, {"nested": {"list": [1]}}),
        ({}, {}),
        (dm.Unset, {}),
        ([1], [1]),  # a flavor profile may hold any JSON; it is for the controller to refuse it
        (None, None),
        ("SINGLE", "SINGLE"),
    ],
)
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("validate_flavor", "/v1/flavors/validate"),
        ("validate_availability_zone", "/v1/availability-zones/validate"),
    ],
)
def test_validate(name, path, metadata, body, driver, controller):
    controller.answer(204)

    assert getattr(driver, name)(metadata) is None

    request = controller.only
    assert (request.method, request.path, request.query) == ("POST", path, {})
    assert json.loads(request.raw) == body


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("get_supported_flavor_metadata", "/v1/flavor-capabilities"),
        ("get_supported_availability_zone_metadata", "/v1/availability-zone-capabilities"),
    ],
)
def test_capabilities(name, path, driver, controller):
    controller.answer(200, {"loadbalancer_topology": "How many Envoys serve it."})

    assert getattr(driver, name)() == {"loadbalancer_topology": "How many Envoys serve it."}

    request = controller.only
    assert (request.method, request.path, request.query, request.raw) == ("GET", path, {}, b"")


VIP = {
    "vip_address": "192.0.2.5",
    "vip_network_id": "net-1",
    "vip_port_id": "port-1",
    "vip_subnet_id": "sub-1",
    "vip_qos_policy_id": None,
    "vip_sg_ids": [],
    "octavia_owned": True,
}


def test_create_vip_port(driver, controller):
    additional = {"ip_address": "2001:db8::5", "network_id": "net-1", "port_id": "port-1", "subnet_id": "sub-6"}
    controller.answer(200, {"vip": VIP, "additional_vips": [{**additional, "load_balancer_id": "lb-1"}]})

    result = driver.create_vip_port(
        "lb-1",
        "proj-1",
        {"vip_address": None, "vip_subnet_id": "sub-1", "vip_port_id": dm.Unset},
        [{"subnet_id": "sub-6", "ip_address": None}],
    )

    # Octavia makes AdditionalVip(**dict) of it: a further key would be a TypeError.
    assert result == (VIP, [additional])
    request = controller.only
    assert (request.method, request.path, request.query) == ("POST", "/v1/vip-ports", {})
    assert request.body == {
        "loadbalancer_id": "lb-1",
        "project_id": "proj-1",
        "vip": {"vip_address": None, "vip_subnet_id": "sub-1"},
        "additional_vips": [{"subnet_id": "sub-6", "ip_address": None}],
    }
    assert request.headers["x-project-id"] == "proj-1"


@pytest.mark.parametrize("additional", [[], None])
def test_create_vip_port_without_additional_ones(additional, driver, controller):
    controller.answer(200, {"vip": VIP, "additional_vips": None})

    assert driver.create_vip_port("lb-1", "proj-1", {}, additional) == (VIP, [])
    assert controller.only.body["additional_vips"] == []


def test_ids_cannot_leave_their_path_segment(driver, controller):
    driver.loadbalancer_failover("../x?y=1#z")

    assert controller.only.path == "/v1/loadbalancers/..%2Fx%3Fy%3D1%23z/failover"


def test_all_methods_of_the_contract_are_here():
    def public(cls):
        return {name for name in vars(cls) if not name.startswith("_") and callable(getattr(cls, name))}

    wanted = public(provider_base.ProviderDriver)
    newest = {"loadbalancer_failover_with_flavor"}  # in octavia-lib since 3.12.0
    assert len(wanted | newest) == 29
    assert public(EnvoyProviderDriver) == wanted | newest


def test_methods_take_what_the_contract_passes():
    for name, base in inspect.getmembers(provider_base.ProviderDriver, inspect.isfunction):
        own = inspect.signature(getattr(EnvoyProviderDriver, name))
        # Octavia passes positions. The base's own names are not followed by its callers nor by other drivers.
        assert len(own.parameters) == len(inspect.signature(base).parameters), name


def test_every_method_is_exercised_here():
    tested = {case.split()[0] for case in CASES} | {
        "create_vip_port",
        "get_supported_flavor_metadata",
        "get_supported_availability_zone_metadata",
        "validate_flavor",
        "validate_availability_zone",
    }
    assert tested == {n for n in vars(EnvoyProviderDriver) if not n.startswith("_")}
