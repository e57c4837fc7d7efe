"""Private keys: the controller gets them, and nobody else does."""

import traceback

import pytest
from octavia_lib.api.drivers import data_models as dm

from tests import servers, trees

MARK = "MARKED-SECRET-5e1f"

CALLS = {
    "loadbalancer_create": lambda d: d.loadbalancer_create(trees.loadbalancer()),
    "listener_create": lambda d: d.listener_create(trees.listener()),
    "listener_update": lambda d: d.listener_update(
        trees.listener(), dm.Listener(listener_id="li-1", sni_container_data=[trees.tls_container()])
    ),
    "pool_create": lambda d: d.pool_create(trees.pool(tls_container_data=trees.tls_container())),
    "pool_update": lambda d: d.pool_update(
        trees.pool(), dm.Pool(pool_id="p-1", tls_container_data=trees.tls_container())
    ),
}


def failure(call, driver):
    """Return all that Octavia may log of a call that fails: it logs the exception with its chain and its texts."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call(driver)
    error = caught.value
    return "".join(traceback.format_exception(error)) + repr(error) + error.operator_fault_string + str(vars(error))


@pytest.mark.parametrize("call", CALLS)
def test_the_controller_gets_the_key_and_the_log_does_not(call, driver, controller, all_logs):
    CALLS[call](driver)

    assert MARK in repr(controller.only.raw)
    assert "202" in all_logs.text
    assert MARK not in all_logs.text


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "content"),
    [
        (400, b'{"error": {"code": "invalid", "message": "No.", "detail": "Not."}}'),
        (502, b"<html>your request was: %s</html>" % trees.PEM_KEY.encode()),
        (202, trees.PEM_KEY.encode()),
    ],
)
def test_failures_do_not_show_it(call, status, content, driver, controller, all_logs):
    controller.answer(status, content=content)

    assert MARK not in failure(CALLS[call], driver)
    assert MARK in repr(controller.only.raw)
    assert MARK not in all_logs.text


@pytest.mark.parametrize("call", CALLS)
def test_an_error_that_quotes_it_is_redacted(call, driver, controller, all_logs):
    quoted = f"cannot parse {trees.PEM_KEY.strip()}, cut: -----BEGIN PRIVATE KEY-----\n{MARK}"
    controller.error(500, "internal", message=quoted, detail=quoted)

    shown = failure(CALLS[call], driver)

    assert "cannot parse [private key removed], cut: [private key removed]" in shown
    assert MARK not in shown
    assert MARK not in all_logs.text


@pytest.mark.parametrize("call", CALLS)
def test_an_echo_instead_of_an_answer(call, driver, raw, all_logs):
    def talk(connection):
        servers.read_request(connection)
        connection.sendall(MARK.encode() + b"\n" + trees.PEM_KEY.encode())

    raw(talk)

    assert MARK not in failure(CALLS[call], driver)
    assert MARK not in all_logs.text


@pytest.mark.parametrize("call", CALLS)
def test_no_controller(call, driver, socket_dir, options, all_logs):
    options(controller_url=f"unix://{socket_dir}/none.sock")

    assert MARK not in failure(CALLS[call], driver)
    assert MARK not in all_logs.text


@pytest.mark.usefixtures("controller")
def test_a_key_that_cannot_be_sent(driver, all_logs):
    container = {**trees.tls_container(), "private_key": trees.PEM_KEY.encode() + b"\xff"}

    shown = failure(lambda d: d.listener_create(trees.listener(default_tls_container_data=container)), driver)

    assert "default_tls_container_data.private_key" in shown
    assert MARK not in shown
    assert MARK not in all_logs.text
