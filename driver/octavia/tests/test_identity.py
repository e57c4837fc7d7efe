"""Request, project and user, as headers and in the log."""

import re

import pytest
from octavia_lib.api.drivers import data_models as dm
from oslo_context import context

from tests import trees

NAMES = ("x-openstack-request-id", "x-project-id", "x-user-id")


def sent(controller):
    headers = controller.requests[-1].headers
    return {name: headers[name] for name in NAMES if name in headers}


def test_from_the_current_context(driver, controller):
    context.RequestContext(request_id="req-7", project_id="admin-project", user_id="user-1")

    driver.listener_create(trees.listener())

    assert sent(controller) == {
        "x-openstack-request-id": "req-7",
        "x-project-id": "admin-project",
        "x-user-id": "user-1",
    }


@pytest.mark.parametrize(
    "call",
    [
        lambda d: d.listener_create(trees.listener()),
        lambda d: d.listener_update(trees.listener(), dm.Listener(listener_id="li-1")),
        lambda d: d.listener_delete(trees.listener()),
        lambda d: d.member_batch_update("p-1", [trees.member()]),
    ],
)
def test_without_a_context_the_project_is_the_objects(call, driver, controller):
    call(driver)

    assert sent(controller) == {"x-project-id": "proj-1"}


def test_nothing_is_known(driver, controller):
    driver.loadbalancer_failover("lb-1")
    driver.member_batch_update("p-1", [])
    driver.listener_delete(dm.Listener(listener_id="li-1", project_id=None))

    assert [sent(controller)] * 3 == [{}] * 3
    assert len(controller.requests) == 3


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "na\x00me", "ü", 7])
def test_what_is_no_header_value_is_left_out(value, driver, controller):
    context.RequestContext(request_id="req-7", project_id=value, user_id="u")

    driver.listener_create(trees.listener(project_id=dm.Unset))

    assert sent(controller) == {"x-openstack-request-id": "req-7", "x-user-id": "u"}
    assert "x-evil" not in controller.only.headers


@pytest.mark.usefixtures("controller")
def test_log_line(driver, all_logs):
    context.RequestContext(request_id="req-7")

    driver.listener_delete(trees.listener())

    (record,) = [r for r in all_logs.records if r.name.startswith("octavia_envoy_provider")]
    assert record.levelname == "INFO"
    assert re.fullmatch(r"DELETE /v1/listeners/li-1: 202 in \d+ ms \(req-7\)", record.getMessage())


def test_log_line_of_a_failure(driver, options, socket_dir, all_logs):
    options(controller_url=f"unix://{socket_dir}/none.sock")

    with pytest.raises(Exception, match="cannot be reached"):
        driver.listener_delete(trees.listener())

    (record,) = [r for r in all_logs.records if r.name.startswith("octavia_envoy_provider")]
    assert re.fullmatch(r"DELETE /v1/listeners/li-1: no answer in \d+ ms \(-\)", record.getMessage())
