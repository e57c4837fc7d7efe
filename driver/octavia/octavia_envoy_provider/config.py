"""The options of octavia.conf, group ``[envoy_provider]``.

They are read when a method is called, never when the driver is made: Octavia makes a driver for each API request and
drops a provider whose constructor raises until it is restarted.
"""

from __future__ import annotations

import dataclasses
import math
import urllib.parse
from typing import Any

from octavia_lib.api.drivers import exceptions as lib_exceptions
from oslo_config import cfg

from octavia_envoy_provider import errors

DEFAULT_URL = "unix:///run/octavia-envoy/api.sock"

GROUP = cfg.OptGroup(
    "envoy_provider",
    title="Envoy provider driver",
    help="How octavia-api reaches the controller of the Envoy provider.",
)

OPTS = [
    cfg.StrOpt(
        "controller_url",
        default=DEFAULT_URL,
        help="Where the controller's provider API listens: unix:///path/to/socket when it runs on this machine, "
        "https://host:port when it does not. https needs ca_file, client_cert_file and client_key_file, because the "
        "controller asks for a client certificate. Plain http is refused: listeners and pools carry private keys.",
    ),
    cfg.StrOpt(
        "ca_file",
        help="PEM file with the certificate authority of the controller's server certificate. Needed for https; the "
        "system's authorities are not consulted.",
    ),
    cfg.StrOpt(
        "client_cert_file",
        help="PEM file with the certificate that octavia-api shows to the controller, and its intermediates. Needed "
        "for https. Read anew for each request, so a renewed certificate needs no restart.",
    ),
    cfg.StrOpt(
        "client_key_file",
        help="PEM file with the private key, without a passphrase, of client_cert_file. Needed for https.",
    ),
    cfg.FloatOpt(
        "connect_timeout",
        default=2.0,
        min=0.1,
        help="Longest time to connect to the controller, TLS handshake included, in seconds. A host name with several "
        "addresses gets it for each of them.",
    ),
    cfg.FloatOpt(
        "request_timeout",
        default=10.0,
        min=0.1,
        help="Longest time from the connection to the controller's whole answer, in seconds. The controller answers "
        "when it has stored the request, not when it has carried it out. Octavia holds a lock on the project's "
        "quota meanwhile.",
    ),
]


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return the options for oslo-config-generator (entry point ``oslo.config.opts``)."""
    return [(GROUP, OPTS)]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options, checked. Either ``socket_path`` is set, or ``host``, ``port`` and the three files."""

    url: str
    socket_path: str
    host: str
    port: int
    ca_file: str
    client_cert_file: str
    client_key_file: str
    connect_timeout: float
    """Seconds."""
    request_timeout: float
    """Seconds."""


def load(conf: cfg.ConfigOpts | None = None) -> Settings:
    """Read and check the options.

    :param conf: where to read them; oslo.config's global object if missing, which is what octavia-api fills.
    :raises DriverError: an option is wrong; the operator's text names it.
    """
    conf = cfg.CONF if conf is None else conf
    conf.register_opts(OPTS, group=GROUP)
    url = (_read(conf, "controller_url") or "").strip()
    seconds: dict[str, Any] = {name: _seconds(conf, name) for name in ("connect_timeout", "request_timeout")}
    files: dict[str, Any] = {
        name: _read(conf, name) or "" for name in ("ca_file", "client_cert_file", "client_key_file")
    }

    scheme, _, rest = url.partition(":")
    if scheme == "unix":
        return Settings(url=url, socket_path=_socket_path(rest), host="", port=0, **files, **seconds)
    if scheme == "https":
        host, port = _host_port(url)
        for name, value in files.items():
            if not value:
                raise errors.bad_option(name, "it is needed when controller_url is https")
        return Settings(url=url, socket_path="", host=host, port=port, **files, **seconds)
    if scheme == "http":
        raise errors.bad_option(
            "controller_url",
            "plain http is refused, since listeners and pools carry private keys; use unix:///path/to/socket on the "
            "same machine, https://host:port from another",
        )
    raise errors.bad_option("controller_url", "it must be unix:///path/to/socket or https://host:port")


def _read(conf: cfg.ConfigOpts, name: str) -> Any:
    try:
        return conf[GROUP.name][name]
    except (cfg.Error, ValueError) as exc:
        raise errors.bad_option(name, str(exc)) from None


def _seconds(conf: cfg.ConfigOpts, name: str) -> float:
    value = _read(conf, name)
    # oslo.config takes "nan" and "inf" for numbers above its minimum.
    if not isinstance(value, float) or not math.isfinite(value):
        raise errors.bad_option(name, "it must be a number of seconds")
    return value


def _socket_path(rest: str) -> str:
    """Return the path of ``unix:///path`` or ``unix:/path``; it is not percent-decoded."""
    path = rest[2:] if rest.startswith("//") else rest
    if not path.startswith("/"):
        raise errors.bad_option("controller_url", "the path after unix:// must be absolute: unix:///path/to/socket")
    return path


def _host_port(url: str) -> tuple[str, int]:
    """Return host and port of an https URL. No error repeats the URL, which may hold a password by mistake."""
    wrong: lib_exceptions.DriverError = errors.bad_option(
        "controller_url", "it must be https://host:port, with no user, path or query"
    )
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if not host or parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise wrong
    return host, port or 443
