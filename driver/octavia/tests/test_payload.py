"""What becomes of Octavia's objects in JSON, and of the odd things in them."""

import json

import pytest
from octavia_lib.api.drivers import data_models as dm
from octavia_lib.api.drivers import exceptions

from octavia_envoy_provider import payload
from tests import trees


class UnsetType:
    """Stands for WSME's, which has this name; Octavia's API passes some of its values on as they are."""


def test_a_tree_is_what_to_dict_makes_of_it():
    tree = trees.loadbalancer(listeners=[trees.listener(default_pool=dm.Unset)])

    assert payload.plain(tree) == tree.to_dict(recurse=True, render_unsets=False)


def test_unset_is_missing_and_none_is_null():
    assert payload.plain(dm.Member(name=None, weight=0)) == {"name": None, "weight": 0}


@pytest.mark.parametrize("unset", [dm.Unset, UnsetType()])
def test_unset_inside_lists_and_dicts_is_missing(unset):
    listener = dm.Listener(
        allowed_cidrs=["192.0.2.0/24", unset],
        sni_container_refs=unset,
        insert_headers={"X-Forwarded-For": "true", "X-Forwarded-Port": unset},
        l7policies=[dm.L7Policy(l7policy_id="pol-1", rules=[{"l7rule_id": "r-1", "key": unset, "value": None}])],
    )

    assert payload.plain(listener) == {
        "allowed_cidrs": ["192.0.2.0/24"],
        "insert_headers": {"X-Forwarded-For": "true"},
        "l7policies": [{"l7policy_id": "pol-1", "rules": [{"l7rule_id": "r-1", "value": None}]}],
    }


def test_rules_may_be_dicts_models_and_models_inside_dicts():
    rule = {"l7rule_id": "r-1", "value": "/x"}
    policy = dm.L7Policy(rules=[rule, dm.L7Rule(**rule), {"wrapped": dm.L7Rule(**rule)}])

    assert payload.plain(policy) == {"rules": [rule, rule, {"wrapped": rule}]}


def test_default_pool_is_left_out_of_listeners_wherever_they_are():
    as_dict = {"listener_id": "li-2", "default_pool": {"pool_id": "p-1"}, "default_pool_id": "p-1"}
    tree = trees.loadbalancer(listeners=[trees.listener(), as_dict])

    listeners = payload.plain(tree)["listeners"]

    assert "default_pool" not in listeners[0]
    assert listeners[0]["default_pool_id"] == "p-1"
    assert listeners[1] == {"listener_id": "li-2", "default_pool_id": "p-1"}
    assert "default_pool" in as_dict, "Octavia's own dict was changed"


def test_default_pool_is_left_alone_in_a_flavor():
    assert payload.plain(trees.loadbalancer())["flavor"] == {"default_pool": "kept, it is a key of the flavor"}


def test_what_is_wrong_in_a_default_pool_does_not_matter():
    assert payload.plain(trees.listener(default_pool=object()))["listener_id"] == "li-1"


def test_a_model_inside_its_own_class_is_kept():
    # to_dict makes None of it.
    assert payload.plain(dm.Pool(members=[dm.Pool(pool_id="inner")])) == {"members": [{"pool_id": "inner"}]}


def test_bytes_are_text():
    listener = dm.Listener(client_ca_tls_container_data=b"pem", sni_container_data=[{"private_key": b"k\xc3\xa9"}])

    assert payload.plain(listener) == {
        "client_ca_tls_container_data": "pem",
        "sni_container_data": [{"private_key": "ké"}],
    }


def itself():
    loop = {}
    loop["loop"] = loop
    return loop


@pytest.mark.parametrize(
    ("value", "where", "why"),
    [
        ({"private_key": b"\xffMARKED-SECRET"}, "default_tls_container_data.private_key", "not UTF-8"),
        ({"private_key": object()}, "default_tls_container_data.private_key", "a object has no JSON form"),
        ([{1: "x"}], "default_tls_container_data[0]", "a key is a int"),
        ([{"s": {"MARKED-SECRET"}}], "default_tls_container_data[0].s", "a set has no JSON form"),
        (itself(), "Listener", "contains itself"),
    ],
)
def test_what_has_no_json_form_is_named_and_not_shown(value, where, why, driver, controller):
    with pytest.raises(exceptions.DriverError) as caught:
        driver.listener_create(dm.Listener(listener_id="li-1", default_tls_container_data=value))

    assert where in caught.value.operator_fault_string
    assert why in caught.value.operator_fault_string
    assert "MARKED" not in caught.value.operator_fault_string + caught.value.user_fault_string
    assert caught.value.__cause__ is None
    assert controller.requests == []


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    "call",
    [
        lambda d, number: d.health_monitor_create(dm.HealthMonitor(healthmonitor_id="hm-1", http_version=number)),
        lambda d, number: d.validate_flavor({"a": [number]}),
        lambda d, number: d.validate_availability_zone({"a": number}),
    ],
)
def test_numbers_that_json_does_not_have(number, call, driver, controller):
    with pytest.raises(exceptions.UnsupportedOptionError) as caught:
        call(driver, number)

    assert caught.value.user_fault_string == "A number must not be NaN or infinite."
    assert controller.requests == []


def test_text_of_any_language_arrives(driver, controller):
    driver.member_create(trees.member(name="zażółć 🎈 \u2028 \x00 \ud800"))

    assert json.loads(controller.only.raw)["name"] == "zażółć 🎈 \u2028 \x00 \ud800"


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (lambda d: d.loadbalancer_delete(dm.LoadBalancer()), "loadbalancer_id"),
        (lambda d: d.loadbalancer_failover(None), "NoneType"),
        (lambda d: d.loadbalancer_failover(""), "empty"),
        (lambda d: d.listener_update(dm.Listener(), dm.Listener(name="x")), "listener_id"),
        (lambda d: d.member_create(dm.Member(member_id="m-1")), "pool_id"),
        (lambda d: d.member_delete(dm.Member(pool_id="p-1")), "member_id"),
        (lambda d: d.member_update(dm.Member(), dm.Member(member_id="m-1")), "pool_id"),
        (lambda d: d.member_batch_update(dm.Unset, []), "UnsetType"),
        (lambda d: d.l7rule_delete(dm.L7Rule(l7rule_id="r-1", l7policy_id=None)), "l7policy_id"),
    ],
)
def test_without_an_id_nothing_is_sent(call, missing, driver, controller):
    with pytest.raises(exceptions.DriverError, match="cannot handle this request") as caught:
        call(driver)

    assert missing in caught.value.operator_fault_string
    assert controller.requests == []


def test_the_id_of_an_update_may_be_in_old_only(driver, controller):
    driver.member_update(trees.member(), dm.Member(weight=3))

    assert controller.only.path == "/v1/pools/p-1/members/m-1"
    assert controller.only.body == {"member_id": "m-1", "pool_id": "p-1", "weight": 3}


def test_patch_prefers_the_ids_of_new():
    old = dm.Member(member_id="m-old", pool_id="p-old", weight=9)
    new = dm.Member(member_id="m-1", pool_id=None)

    assert payload.patch(old, new, "member_id", "pool_id") == {"member_id": "m-1", "pool_id": "p-old"}
