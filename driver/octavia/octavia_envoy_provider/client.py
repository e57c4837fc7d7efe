"""One HTTP request to the controller, over a unix socket or mutual TLS.

Each request has a connection of its own: Octavia makes a driver for each API call and runs it in a WSGI worker, so
there is nobody to own a pool, and a connection to a unix socket costs microseconds. Nothing is sent twice.
"""

from __future__ import annotations

import http
import http.client
import json
import ssl
import time
import urllib.parse
from typing import Any

from oslo_log import log as logging

from octavia_envoy_provider import config, errors, payload, transport, version

LOG = logging.getLogger(__name__)

_USER_AGENT = f"octavia-envoy-provider/{version.__version__}"
_LARGEST_ANSWER = 1 << 20  # bytes
NOTHING = object()
"""The body of a request without one; None is JSON's null."""


def call(
    settings: config.Settings,
    method: str,
    path: str,
    *,
    expect: int,
    headers: dict[str, str],
    query: dict[str, str] | None = None,
    body: Any = NOTHING,
) -> Any:
    """Send a request and return the decoded answer, None if there is none to the status expected (204).

    Log lines have method, path, status, duration and request id, never a body, since a body may hold private keys.

    :param expect: the status that means success; the controller has no other for this request.
    :raises DriverError, UnsupportedOptionError, NotImplementedError, Conflict, NotFound: see the errors module.
    """
    target = path
    if query:
        target += "?" + urllib.parse.urlencode(query)
    content = None if body is NOTHING else payload.encode(body)
    sent = {**headers, "Accept": "application/json", "Connection": "close", "User-Agent": _USER_AGENT}
    if content is not None:
        sent["Content-Type"] = "application/json"

    request_id = headers.get("X-Openstack-Request-Id", "-")
    started = time.monotonic()
    status: int | str = "no answer"
    try:
        status, answer = _exchange(settings, method, target, sent, content)
    finally:
        LOG.info("%s %s: %s in %d ms (%s)", method, path, status, (time.monotonic() - started) * 1000, request_id)
    return _decode(settings, f"{method} {path}", status, expect, answer)


def _exchange(
    settings: config.Settings, method: str, target: str, headers: dict[str, str], content: bytes | None
) -> tuple[int, bytes]:
    """Return status and body of the answer."""
    with transport.connect(settings) as sock:
        timed = transport.TimedSocket(sock, settings.request_timeout)
        # The host is only a header here, the socket is connected already.
        connection = http.client.HTTPConnection(settings.host or "localhost", settings.port or None)
        connection.sock = timed
        try:
            try:
                connection.request(method, target, body=content, headers=headers)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                # A controller that refuses a body answers before it has read it all; the answer says why.
                if not timed.sent:
                    raise
            return _read(connection.getresponse())
        except TimeoutError:
            raise errors.unreachable(
                settings.url, "request_timeout", f"no whole answer in {settings.request_timeout:g} s"
            ) from None
        except ssl.SSLError as exc:
            raise errors.unreachable(settings.url, "client_cert_file", f"TLS: {exc}") from None
        except (http.client.HTTPException, OSError) as exc:
            # With TLS 1.3 a server refuses the client's certificate after the handshake, from the client's view, and
            # the alert that says so may be lost to the end of the connection.
            ended = isinstance(exc, ConnectionError) and not settings.socket_path
            option = "client_cert_file" if ended else "controller_url"
            cause = str(exc)
            if isinstance(exc, http.client.HTTPException):  # its text may quote what was received
                cause = f"half an answer or none of HTTP ({type(exc).__name__})"
            raise errors.unreachable(settings.url, option, cause) from None


def _read(response: http.client.HTTPResponse) -> tuple[int, bytes]:
    if response.length is not None and response.length <= _LARGEST_ANSWER:
        return response.status, response.read()  # raises IncompleteRead when cut short; read(n) does not
    content = response.read(_LARGEST_ANSWER + 1)
    if len(content) > _LARGEST_ANSWER:
        raise http.client.LineTooLong("answer")
    return response.status, content


def _decode(settings: config.Settings, what: str, status: int, expect: int, content: bytes) -> Any:
    if status == expect and expect == http.HTTPStatus.NO_CONTENT:
        return None
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if status == expect and isinstance(document, dict):
        return document
    exception = errors.from_answer(what, status, document) if status >= http.HTTPStatus.BAD_REQUEST else None
    if exception is None:
        exception = errors.unreachable(
            settings.url,
            "controller_url",
            f"{what} was answered with status {status} and {len(content)} bytes that are not a controller's answer",
        )
    raise exception
