"""The controller's errors, and all the ways not to answer, as octavia-lib's exceptions."""

import json
import socket
import threading

import pytest
from octavia_lib.api.drivers import exceptions

from octavia_envoy_provider import errors
from tests import servers, trees
from tests.raising import raised

PINNED = {
    "unsupported_option": (501, exceptions.UnsupportedOptionError),
    "not_implemented": (501, exceptions.NotImplementedError),
    "conflict": (409, getattr(exceptions, "Conflict", exceptions.DriverError)),  # in octavia-lib since 3.9.0
    "not_found": (404, exceptions.NotFound),
}
USERS = {"invalid": 400, "too_large": 413}
OTHERS = {
    "unauthorized": 403,
    "unavailable": 503,
    "internal": 500,
    "of_a_later_version": 418,
}


def assert_unreachable(error, *operator):
    assert type(error) is exceptions.DriverError
    assert error.user_fault_string == str(error) == errors.UNREACHABLE
    assert "cannot be reached" in error.user_fault_string
    for text in operator:
        assert text in error.operator_fault_string


@pytest.mark.parametrize("code", PINNED)
def test_codes_with_a_class_of_their_own(code, driver, controller):
    status, cls = PINNED[code]
    controller.error(status, code, message="SCTP is not supported.", detail="listener.go: SCTP", field="protocol")

    error = raised(lambda: driver.listener_create(trees.listener()))

    assert type(error) is cls
    assert error.user_fault_string == str(error) == "SCTP is not supported."
    assert error.operator_fault_string == "listener.go: SCTP"


@pytest.mark.parametrize("code", USERS)
def test_a_mistake_of_the_user_is_no_server_error(code, driver, controller):
    controller.error(USERS[code], code, message="weight must be between 0 and 256, not 300.", detail="", field="weight")

    error = raised(lambda: driver.member_create(trees.member()))

    assert type(error) is exceptions.UnsupportedOptionError
    assert error.user_fault_string == str(error) == "weight must be between 0 and 256, not 300."
    assert error.operator_fault_string == (
        f"the octavia-envoy controller answered POST /v1/pools/p-1/members with {USERS[code]} {code} "
        "at weight: weight must be between 0 and 256, not 300."
    )


@pytest.mark.parametrize("code", OTHERS)
def test_all_other_codes_are_driver_errors(code, driver, controller):
    controller.error(OTHERS[code], code, message="It did not work.", detail="disk full", field="listeners[0].protocol")

    error = raised(lambda: driver.loadbalancer_create(trees.loadbalancer()))

    assert type(error) is exceptions.DriverError
    assert error.user_fault_string == str(error) == "It did not work."
    assert error.operator_fault_string == (
        f"the octavia-envoy controller answered POST /v1/loadbalancers with {OTHERS[code]} {code} "
        "at listeners[0].protocol: disk full"
    )


@pytest.mark.parametrize("error", [{"detail": ""}, {"detail": None}, {}])
def test_without_a_detail_the_operator_gets_the_message(error, driver, controller):
    controller.answer(501, {"error": {"code": "unsupported_option", "message": "No.", **error}})

    assert raised(lambda: driver.listener_create(trees.listener())).operator_fault_string == "No."


def test_create_vip_port_left_to_octavia(driver, controller):
    controller.error(501, "not_implemented")

    assert type(raised(lambda: driver.create_vip_port("lb-1", "proj-1", {}, []))) is exceptions.NotImplementedError


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"vip": None, "additional_vips": []},
        {"vip": {"vip_address": "192.0.2.5"}, "additional_vips": []},
        {"vip": {"vip_address": "", "vip_port_id": "port-1"}},
        {"vip": {"vip_address": "192.0.2.5", "vip_port_id": "port-1"}, "additional_vips": "x"},
        {"vip": {"vip_address": "192.0.2.5", "vip_port_id": "port-1"}, "additional_vips": ["x"]},
    ],
)
def test_create_vip_port_with_half_a_vip(answer, driver, controller):
    controller.answer(200, answer)

    error = raised(lambda: driver.create_vip_port("lb-1", "proj-1", {}, []))

    assert type(error) is exceptions.DriverError
    assert "/v1/vip-ports" in error.operator_fault_string


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (200, b'{"intent": 1}'),  # only 202 says that the controller has committed it
        (202, b""),
        (202, b"accepted"),
        (202, b"[]"),
        (202, b'{"intent": 1'),
        (204, b""),
        (302, b"{}"),
        (404, b"<html>not here</html>"),
        (404, b"{}"),
        (500, b'{"error": "text"}'),
        (500, b'{"error": {"code": 7, "message": "x"}}'),
        (500, b'{"error": {"code": "internal", "message": ""}}'),
        (500, b'{"error": {"code": "internal"}}'),
        (502, b"\xff\xfe"),
        (202, b'{"error": {"code": "conflict", "message": "x"}'),
    ],
)
def test_answers_that_no_controller_gives(status, content, driver, controller):
    controller.answer(status, content=content)

    error = raised(lambda: driver.listener_create(trees.listener()))

    assert_unreachable(error, controller.url, "controller_url", f"POST /v1/listeners was answered with status {status}")
    assert content.decode(errors="replace") not in error.operator_fault_string or not content


def test_a_success_with_an_error_inside_is_a_success(driver, controller):
    controller.answer(202, {"error": {"code": "conflict", "message": "x"}})

    driver.listener_create(trees.listener())


@pytest.mark.parametrize("name", ["get_supported_flavor_metadata", "get_supported_availability_zone_metadata"])
def test_capabilities_raise_what_octavia_knows_without_its_wrapper(name, driver, controller):
    controller.error(501, "not_implemented", message="No flavors here.")
    error = raised(getattr(driver, name))
    assert type(error) is exceptions.NotImplementedError
    assert error.user_fault_string == "No flavors here."

    controller.error(500, "internal", message="It did not work.", detail="secret path")
    # Octavia shows str() of it to the user.
    assert str(raised(getattr(driver, name))) == "It did not work."

    controller.answer(200, content=b"[]")
    assert_unreachable(raised(getattr(driver, name)))


# No controller


def test_no_socket(driver, socket_dir, options):
    options(controller_url=f"unix://{socket_dir}/none.sock")

    error = raised(lambda: driver.listener_create(trees.listener()))

    assert_unreachable(error, f"unix://{socket_dir}/none.sock", "controller_url", "No such file or directory")
    assert str(socket_dir) not in error.user_fault_string


def test_nobody_listens(driver, socket_dir, options):
    path = socket_dir / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    options(controller_url=f"unix://{path}")

    assert_unreachable(raised(lambda: driver.listener_create(trees.listener())), "Connection refused")


def test_a_path_too_long_for_a_socket(driver, options):
    options(controller_url="unix:///" + "x" * 200)

    assert_unreachable(raised(lambda: driver.listener_create(trees.listener())), "path too long")


def full_queue(path):
    """Return a listening socket whose queue of connections is full, and the connections in it."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(0)
    waiting = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        try:
            client.connect(str(path))
        except BlockingIOError:
            client.close()
            return server, waiting
        waiting.append(client)


def test_the_queue_of_the_socket_stays_full(driver, socket_dir, options):
    path = socket_dir / "full.sock"
    server, waiting = full_queue(path)
    options(controller_url=f"unix://{path}", connect_timeout=0.3)

    error = raised(lambda: driver.listener_create(trees.listener()))

    assert_unreachable(error, "connect_timeout", "no connection in 0.3 s")
    for each in (server, *waiting):
        each.close()


def test_the_queue_of_the_socket_is_full_for_a_moment(driver, socket_dir, options):
    path = socket_dir / "full.sock"
    server, waiting = full_queue(path)
    options(controller_url=f"unix://{path}", connect_timeout=30.0)
    answered = []

    def call():
        answered.append(driver.listener_create(trees.listener()))

    thread = threading.Thread(target=call)
    thread.start()
    for _ in waiting:
        server.accept()[0].close()
    with server.accept()[0] as connection:
        servers.read_request(connection)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
    thread.join()
    assert answered == [None]
    for each in (server, *waiting):
        each.close()


# Half an answer

HALVES = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 2",
    "half the headers": b"HTTP/1.1 202 Accepted\r\nContent-Le",
    "headers alone": b"HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n",
    "half the body": b'HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n{"intent"',
    "half a chunk": b'HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{"intent"',
    "no last chunk": b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "a body to the end that is cut": b'HTTP/1.1 202 Accepted\r\n\r\n{"intent": ',
    "another protocol": b"220 mail.example.org ESMTP\r\n",
    "half the body, whole JSON": b"HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n{}",
    "an endless body": b"HTTP/1.1 202 Accepted\r\n\r\n{}" + b" " * (2 << 20),
    "a body said to be endless": b"HTTP/1.1 202 Accepted\r\nContent-Length: 99999999999\r\n\r\n" + b" " * (2 << 20),
    "an endless header": b"HTTP/1.1 202 Accepted\r\nX: " + b"x" * (2 << 20),
    "endlessly many headers": b"HTTP/1.1 202 Accepted\r\n" + b"X: x\r\n" * 100_000,
}


@pytest.mark.parametrize("half", HALVES)
def test_half_an_answer(half, driver, raw):
    def talk(connection):
        servers.read_request(connection)
        connection.sendall(HALVES[half])

    server = raw(talk)

    error = raised(lambda: driver.listener_create(trees.listener()))

    assert_unreachable(error, server.url, "controller_url")
    assert server.accepted == 1, "it was sent twice"


@pytest.mark.parametrize(
    "whole",
    [
        b'HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n6\r\na": 1}\r\n0\r\n\r\n',
        b'HTTP/1.1 202 Accepted\r\n\r\n{"a": 1}',
        b'HTTP/1.1 202 Accepted\r\nContent-Length: 8\r\nConnection: keep-alive\r\n\r\n{"a": 1}',
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 8\r\n\r\n{"a": 1}',
    ],
)
def test_a_whole_answer_in_any_form(whole, driver, raw):
    def talk(connection):
        servers.read_request(connection)
        connection.sendall(whole)

    raw(talk)

    driver.listener_create(trees.listener())


def test_an_answer_before_the_whole_request_was_read(driver, raw):
    answer = json.dumps({"error": {"code": "too_large", "message": "Too many listeners.", "detail": "9 MiB"}}).encode()

    def talk(connection):
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    raw(talk)

    error = raised(lambda: driver.listener_create(trees.listener(description="x" * (9 << 20))))

    assert type(error) is exceptions.UnsupportedOptionError
    assert error.user_fault_string == "Too many listeners."


# Time


@pytest.fixture
def released():
    event = threading.Event()
    yield event
    event.set()


def test_no_answer_in_time(driver, raw, options, released):
    def talk(connection):
        servers.read_request(connection)
        released.wait(60)

    server = raw(talk)
    options(request_timeout=0.3)

    error = raised(lambda: driver.listener_create(trees.listener()))
    released.set()

    assert_unreachable(error, server.url, "request_timeout", "0.3 s")
    assert server.accepted == 1, "it was sent twice"


def test_an_answer_that_trickles_does_not_get_more_time(driver, raw, options, released):
    def talk(connection):
        servers.read_request(connection)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nX: ")
        # For a minute there is always another byte before a timeout of the socket itself.
        for _ in range(600):
            if released.wait(0.1):
                return
            connection.sendall(b"x")

    server = raw(talk)
    options(request_timeout=0.5)

    error = raised(lambda: driver.listener_create(trees.listener()))
    released.set()

    assert_unreachable(error, "request_timeout", "0.5 s")
    assert server.accepted == 1


def test_a_request_that_is_not_read_does_not_get_more_time(driver, raw, options, released):
    server = raw(lambda _: released.wait(60))
    options(request_timeout=0.3)

    error = raised(lambda: driver.listener_create(trees.listener(description="x" * (8 << 20))))
    released.set()

    assert_unreachable(error, server.url, "request_timeout")
