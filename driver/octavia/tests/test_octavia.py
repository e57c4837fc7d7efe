"""The driver inside Octavia itself: its factory, its wrapper, its conversions, its request context.

Skipped only where Octavia is not installed; an Octavia that does not import is a failure.
"""

import importlib.util

import pytest
from octavia_lib.api.drivers import data_models as dm
from octavia_lib.api.drivers import exceptions as lib_exceptions
from oslo_config import cfg

from octavia_envoy_provider.driver import EnvoyProviderDriver
from tests import servers, trees

if importlib.util.find_spec("octavia") is None:
    pytest.skip("Octavia is not installed", allow_module_level=True)

import pecan
import webob
from octavia.api.common import hooks
from octavia.api.drivers import driver_factory
from octavia.api.drivers import utils as driver_utils
from octavia.api.v2.types import load_balancer as lb_types
from octavia.common import config as octavia_config  # noqa: F401  registers Octavia's options
from octavia.common import data_models as octavia_dm
from octavia.common import exceptions as octavia_exceptions
from oslo_context import context
from pecan import rest
from wsmeext import pecan as wsme_pecan


@pytest.fixture
def octavia_conf(tmp_path):
    """Octavia's configuration with the two lines of the README."""
    path = tmp_path / "octavia.conf"
    path.write_text(
        "[api_settings]\nenabled_provider_drivers = envoy:Envoy\ndefault_provider_driver = envoy\n"
        "auth_strategy = noauth\n[certificates]\ncert_manager = noop_cert_manager\n"
    )
    cfg.CONF(["--config-file", str(path)], project="octavia")


@pytest.fixture
def loaded(octavia_conf):  # noqa: ARG001
    return driver_factory.get_driver("envoy")


@pytest.mark.usefixtures("octavia_conf")
def test_octavia_loads_the_driver_though_no_controller_runs():
    drivers = [driver_factory.get_driver("envoy") for _ in range(3)]

    assert {type(each) for each in drivers} == {EnvoyProviderDriver}
    assert len({id(each) for each in drivers}) == 3
    assert {each.name for each in drivers} == {"envoy"}


@pytest.mark.parametrize("options_of", ["[envoy_provider]\nrequest_timeout = soon\n", "[envoy_provider]\nfoo = bar\n"])
def test_octavia_loads_the_driver_though_its_options_are_wrong(options_of, tmp_path):
    (tmp_path / "octavia.conf").write_text("[api_settings]\nenabled_provider_drivers = envoy:Envoy\n" + options_of)
    cfg.CONF(["--config-file", str(tmp_path / "octavia.conf")], project="octavia")

    assert type(driver_factory.get_driver("envoy")) is EnvoyProviderDriver


@pytest.mark.parametrize(
    ("status", "code", "cls", "http", "shown"),
    [
        (501, "unsupported_option", octavia_exceptions.ProviderUnsupportedOptionError, 501, "SCTP is not supported."),
        (501, "not_implemented", octavia_exceptions.ProviderNotImplementedError, 501, "SCTP is not supported."),
        (409, "conflict", octavia_exceptions.VIPAddressConflict, 409, "SCTP is not supported."),
        (404, "not_found", octavia_exceptions.ProviderDriverError, 500, "SCTP is not supported."),
        (400, "invalid", octavia_exceptions.ProviderUnsupportedOptionError, 501, "SCTP is not supported."),
        (413, "too_large", octavia_exceptions.ProviderUnsupportedOptionError, 501, "SCTP is not supported."),
        (502, "?", octavia_exceptions.ProviderDriverError, 500, "SCTP is not supported."),
    ],
)
def test_what_octavia_answers(status, code, cls, http, shown, loaded, controller):
    controller.error(status, code, message="SCTP is not supported.", detail="internal/path.go")

    with pytest.raises(cls) as caught:
        driver_utils.call_provider("envoy", loaded.listener_create, trees.listener())

    assert caught.value.code == http
    assert shown in str(caught.value)
    assert "internal/path.go" not in str(caught.value)


def test_what_octavia_answers_without_a_controller(loaded, socket_dir, options):
    options(controller_url=f"unix://{socket_dir}/none.sock")

    with pytest.raises(octavia_exceptions.ProviderDriverError) as caught:
        driver_utils.call_provider("envoy", loaded.loadbalancer_create, trees.loadbalancer())

    assert "The load balancing controller cannot be reached" in str(caught.value)
    assert str(socket_dir) not in str(caught.value)


def database_tree():
    """Return rows as Octavia's repositories do, of all kinds and pointing at each other as the ORM makes them."""
    lb = octavia_dm.LoadBalancer(id="lb-1", project_id="proj-1", name="lb", enabled=True, provider="envoy", tags=["t"])
    lb.vip = octavia_dm.Vip(load_balancer_id="lb-1", ip_address="192.0.2.5", port_id="port-1", subnet_id="sub-1")
    pool = octavia_dm.Pool(
        id="p-1",
        project_id="proj-1",
        load_balancer_id="lb-1",
        load_balancer=lb,
        protocol="HTTP",
        lb_algorithm="ROUND_ROBIN",
        enabled=True,
        tls_certificate_id="http://barbican/2",
    )
    pool.session_persistence = octavia_dm.SessionPersistence(pool_id="p-1", type="SOURCE_IP", pool=pool)
    pool.members = [
        octavia_dm.Member(id="m-1", project_id="proj-1", pool_id="p-1", ip_address="192.0.2.10", pool=pool, weight=0)
    ]
    pool.health_monitor = octavia_dm.HealthMonitor(id="hm-1", pool_id="p-1", type="HTTP", pool=pool, fall_threshold=3)
    listener = octavia_dm.Listener(
        id="li-1",
        project_id="proj-1",
        load_balancer_id="lb-1",
        load_balancer=lb,
        protocol="TERMINATED_HTTPS",
        protocol_port=443,
        default_pool_id="p-1",
        default_pool=pool,
        tls_certificate_id="http://barbican/1",
        insert_headers={"X-Forwarded-For": "true"},
        enabled=True,
        pools=[pool],
    )
    listener.allowed_cidrs = [octavia_dm.ListenerCidr(listener_id="li-1", cidr="192.0.2.0/24")]
    policy = octavia_dm.L7Policy(
        id="pol-1", listener_id="li-1", action="REDIRECT_TO_POOL", redirect_pool_id="p-1", position=1, enabled=True
    )
    policy.listener, policy.redirect_pool = listener, pool
    policy.l7rules = [octavia_dm.L7Rule(id="r-1", l7policy_id="pol-1", type="PATH", value="/x", l7policy=policy)]
    listener.l7policies, pool.l7policies, pool.listeners = [policy], [policy], [listener]
    lb.listeners, lb.pools = [listener], [pool]
    return lb


KNOWN = {
    name: set(vars(getattr(dm, name)()))
    for name in ("LoadBalancer", "Listener", "Pool", "Member", "HealthMonitor", "L7Policy", "L7Rule")
}


def assert_known(document, model):
    assert set(document) <= KNOWN[model], set(document) - KNOWN[model]


def assert_known_listener(document):
    assert_known(document, "Listener")
    assert "default_pool" not in document
    for policy in document.get("l7policies", []):
        assert_known(policy, "L7Policy")
        for rule in policy.get("rules", []):
            assert_known(rule, "L7Rule")


def assert_known_pool(document):
    assert_known(document, "Pool")
    for member in document.get("members", []):
        assert_known(member, "Member")
    if document.get("healthmonitor"):
        assert_known(document["healthmonitor"], "HealthMonitor")


def test_a_whole_load_balancer_as_octavia_converts_it(loaded, controller):
    lb = database_tree()
    # As octavia/api/v2/controllers/load_balancer.py:post.
    body = driver_utils.lb_dict_to_provider_dict(
        {"id": "lb-1", "project_id": "proj-1", "enabled": True, "flavor": {}, "availability_zone": {}},
        lb.vip,
        [octavia_dm.AdditionalVip(ip_address="2001:db8::5", subnet_id="sub-6")],
        lb.pools,
        lb.listeners,
    )
    driver_utils.call_provider("envoy", loaded.loadbalancer_create, dm.LoadBalancer.from_dict(body))

    sent = controller.only.body
    assert_known(sent, "LoadBalancer")
    assert_known_listener(sent["listeners"][0])
    assert_known_pool(sent["pools"][0])
    assert sent["listeners"][0]["l7policies"][0]["rules"][0]["value"] == "/x"
    assert sent["listeners"][0]["allowed_cidrs"] == ["192.0.2.0/24"]
    assert "PRIVATE KEY" in sent["listeners"][0]["default_tls_container_data"]["private_key"]
    assert "PRIVATE KEY" in sent["pools"][0]["tls_container_data"]["private_key"]
    assert sent["pools"][0]["members"][0]["weight"] == 0
    assert sent["additional_vips"][0]["subnet_id"] == "sub-6"


def test_each_object_as_octavia_converts_it(loaded, controller):
    lb = database_tree()
    listener, pool = lb.listeners[0], lb.pools[0]
    policy = listener.l7policies[0]

    loaded.listener_create(driver_utils.db_listener_to_provider_listener(listener))
    loaded.pool_create(driver_utils.db_pool_to_provider_pool(pool))
    loaded.member_create(driver_utils.db_member_to_provider_member(pool.members[0]))
    loaded.health_monitor_create(driver_utils.db_HM_to_provider_HM(pool.health_monitor))
    loaded.l7policy_create(driver_utils.db_l7policy_to_provider_l7policy(policy))
    loaded.l7rule_create(driver_utils.db_l7rule_to_provider_l7rule(policy.l7rules[0]))

    bodies = [request.body for request in controller.requests]
    assert_known_listener(bodies[0])
    assert_known_pool(bodies[1])
    for body, model in zip(bodies[2:], ("Member", "HealthMonitor", "L7Policy", "L7Rule"), strict=True):
        assert_known(body, model)
    assert [request.path for request in controller.requests[2::3]] == [
        "/v1/pools/p-1/members",
        "/v1/l7policies/pol-1/rules",
    ]


def test_deletes_as_octavia_converts_them(loaded, controller):
    lb = database_tree()

    loaded.loadbalancer_delete(driver_utils.db_loadbalancer_to_provider_loadbalancer(lb, for_delete=True), True)
    loaded.listener_delete(driver_utils.db_listener_to_provider_listener(lb.listeners[0], for_delete=True))
    loaded.pool_delete(driver_utils.db_pool_to_provider_pool(lb.pools[0], for_delete=True))
    loaded.health_monitor_delete(driver_utils.db_HM_to_provider_HM(lb.pools[0].health_monitor))

    assert [(request.path, request.query, request.raw) for request in controller.requests] == [
        ("/v1/loadbalancers/lb-1", {"cascade": "true"}, b""),
        ("/v1/listeners/li-1", {"loadbalancer_id": "lb-1"}, b""),
        ("/v1/pools/p-1", {"loadbalancer_id": "lb-1"}, b""),
        ("/v1/healthmonitors/hm-1", {"pool_id": "p-1"}, b""),
    ]


def test_the_vip_that_octavia_reads_back(loaded, controller):
    vip = {"vip_address": "192.0.2.5", "vip_port_id": "port-1", "vip_network_id": "n", "vip_subnet_id": "s"}
    additional = {"ip_address": "2001:db8::5", "subnet_id": "sub-6", "port_id": "port-1", "later": "key"}
    controller.answer(200, {"vip": {**vip, "octavia_owned": True}, "additional_vips": [additional]})

    vip_dict, additional_dicts = driver_utils.call_provider(
        "envoy", loaded.create_vip_port, "lb-1", "proj-1", {"vip_subnet_id": "s"}, [{"subnet_id": "sub-6"}]
    )

    assert driver_utils.provider_vip_dict_to_vip_obj(vip_dict).octavia_owned is True
    assert [octavia_dm.AdditionalVip(**each).ip_address for each in additional_dicts] == ["2001:db8::5"]


class Root:
    """An API that calls the driver as Octavia's does, within a request, after a certificate was fetched."""

    @pecan.expose()
    def index(self, **_):
        # Constructed by octavia/api/drivers/utils.py:_get_secret_data and cert_parser.load_certificates_data.
        context.RequestContext(project_id="proj-1")
        driver_factory.get_driver("envoy").listener_create(trees.listener())
        return "done"


@pytest.mark.usefixtures("octavia_conf")
def test_request_and_user_are_those_of_the_api_request(controller, all_logs):
    app = pecan.Pecan(Root(), hooks=[hooks.ContextHook()])
    request = webob.Request.blank("/", headers={"X-User-Id": "user-1", "X-Project-Id": "admin-project"})
    request.environ["openstack.request_id"] = "req-of-the-api"

    assert request.get_response(app).text == "done"

    headers = controller.only.headers
    assert headers["x-openstack-request-id"] == "req-of-the-api"
    assert headers["x-user-id"] == "user-1"
    assert headers["x-project-id"] == "admin-project"
    assert "(req-of-the-api)" in all_logs.text


class LoadBalancers(rest.RestController):
    """Octavia's PUT of a load balancer, without its database (octavia/api/v2/controllers/load_balancer.py, put)."""

    @wsme_pecan.wsexpose(None, str, status_code=204, body=lb_types.LoadBalancerRootPUT)
    def put(self, lb_id, load_balancer):
        lb_dict = load_balancer.loadbalancer.to_dict(render_unsets=False)
        lb_dict["id"] = lb_id
        lb_dict.pop("vip", {})
        new = dm.LoadBalancer.from_dict(driver_utils.lb_dict_to_provider_dict(lb_dict))
        old = dm.LoadBalancer(loadbalancer_id=lb_id, project_id="proj-1")
        driver_factory.get_driver("envoy").loadbalancer_update(old, new)


def put(app, body):
    accept = {"Accept": "application/json"}
    asked = webob.Request.blank("/lb-1", method="PUT", json=body, headers=accept, content_type="application/json")
    return asked.get_response(app)


GROUP = "5d2a9c84-1f6b-4f0c-a3ce-94c7d52e8b32"


@pytest.mark.usefixtures("octavia_conf")
@pytest.mark.parametrize("groups", [[GROUP], [], None])
def test_security_groups_that_octavia_withholds(groups, controller):
    app = pecan.Pecan(LoadBalancers())
    asked = {"loadbalancer": {"name": "n", "vip_sg_ids": groups}}

    assert put(app, asked).status_code == 204

    assert controller.only.body == {"loadbalancer_id": "lb-1", "name": "n", "vip_sg_ids": groups}


@pytest.mark.usefixtures("octavia_conf")
def test_no_security_groups_are_made_up(controller):
    app = pecan.Pecan(LoadBalancers())

    assert put(app, {"loadbalancer": {"name": "n"}}).status_code == 204

    assert controller.only.body == {"loadbalancer_id": "lb-1", "name": "n"}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"loadbalancer": 5}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_load_balancer(body, loaded, controller):
    class Anything:
        @pecan.expose()
        def index(self, **_):
            loaded.loadbalancer_update(dm.LoadBalancer(loadbalancer_id="lb-1"), dm.LoadBalancer(name="n"))
            return "done"

    asked = webob.Request.blank("/", method="POST", body=body, content_type="text/plain")  # of JSON pecan would see

    assert asked.get_response(pecan.Pecan(Anything())).text == "done"

    assert controller.only.body == {"loadbalancer_id": "lb-1", "name": "n"}


def test_after_the_request_nothing_of_it_is_left(loaded, controller):
    loaded.listener_create(trees.listener())

    assert "x-user-id" not in controller.only.headers


def test_a_flavor_api_answer_without_the_wrapper(loaded, controller):
    # octavia/api/v2/controllers/provider.py catches this class alone.
    controller.error(501, "not_implemented")
    with pytest.raises(lib_exceptions.NotImplementedError):
        loaded.get_supported_flavor_metadata()


def test_octavias_own_log_does_not_show_a_key(loaded, raw, all_logs):
    def talk(connection):
        servers.read_request(connection)
        connection.sendall(b"HTTP/1.1 500 X\r\n\r\n" + trees.PEM_KEY.encode())

    raw(talk)

    with pytest.raises(octavia_exceptions.ProviderDriverError):
        driver_utils.call_provider("envoy", loaded.listener_create, trees.listener())

    assert "raised a driver error" in all_logs.text
    assert "MARKED-SECRET" not in all_logs.text
