"""Connections to the controller, and a limit on the time that one request takes as a whole."""

from __future__ import annotations

import io
import socket
import ssl
import time
from typing import NoReturn

from octavia_envoy_provider import config, errors

_CERTIFICATE_NAMES_ANOTHER_HOST = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_BUSY_PAUSE = 0.02  # seconds
_CHUNK = 1 << 16  # bytes


def connect(settings: config.Settings) -> socket.socket:
    """Connect to the controller.

    :raises DriverError: it is not there, takes too long, or does not prove who it is; or a file of an option is bad.
    """
    context = None if settings.socket_path else tls_context(settings)
    try:
        if context is None:
            return _connect_unix(settings.socket_path, settings.connect_timeout)
        return _connect_tls(settings, context)
    except TimeoutError:
        option, cause = "connect_timeout", f"no connection in {settings.connect_timeout:g} s"
    except ssl.SSLCertVerificationError as exc:
        option = "controller_url" if exc.verify_code in _CERTIFICATE_NAMES_ANOTHER_HOST else "ca_file"
        cause = f"TLS: {exc.verify_message}"
    except ssl.SSLError as exc:
        option, cause = "client_cert_file", f"TLS: {exc}"
    except (OSError, UnicodeError) as exc:
        option, cause = "controller_url", str(exc)
    raise errors.unreachable(settings.url, option, cause)


def _connect_unix(path: str, timeout: float) -> socket.socket:
    deadline = time.monotonic() + timeout
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
            try:
                sock.connect(path)
            except BlockingIOError:
                # The queue of a listening unix socket is full. A blocking connect would wait for room, but Python
                # makes a socket with a timeout non-blocking, and then Linux answers EAGAIN at once.
                time.sleep(min(_BUSY_PAUSE, left))
            else:
                return sock
    except BaseException:
        sock.close()
        raise


def _connect_tls(settings: config.Settings, context: ssl.SSLContext) -> socket.socket:
    sock = socket.create_connection((settings.host, settings.port), timeout=settings.connect_timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(sock, server_hostname=settings.host)
    except BaseException:
        sock.close()
        raise


def tls_context(settings: config.Settings) -> ssl.SSLContext:
    """Return a context that trusts ca_file alone, checks the host name and shows the client certificate.

    :raises DriverError: a file cannot be read or does not hold what it should; the operator's text names its option.
    """
    for option in ("ca_file", "client_cert_file", "client_key_file"):
        path = getattr(settings, option)
        try:
            with open(path, "rb"):
                pass
        except OSError as exc:
            raise errors.bad_option(option, str(exc)) from None

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=settings.ca_file)
    except (OSError, ValueError) as exc:
        raise errors.bad_option("ca_file", f"{settings.ca_file} holds no certificates: {exc}") from None
    try:
        context.load_cert_chain(settings.client_cert_file, settings.client_key_file, password=_no_passphrase)
    except _EncryptedKeyError:
        raise errors.bad_option("client_key_file", f"{settings.client_key_file} needs a passphrase") from None
    except (OSError, ValueError) as exc:
        raise errors.bad_option(
            "client_key_file",
            f"{settings.client_key_file} and client_cert_file {settings.client_cert_file} are no pair: {exc}",
        ) from None
    return context


class _EncryptedKeyError(Exception):
    pass


def _no_passphrase() -> NoReturn:
    # Without this, OpenSSL would ask for it on the terminal of octavia-api, and wait.
    raise _EncryptedKeyError


class TimedSocket:
    """What http.client needs of a connected socket, under one deadline for all of it.

    A timeout of a socket starts anew with each byte. One request holds locks in Octavia's database, so it must end by a
    given time, however slowly the other side speaks.
    """

    def __init__(self, sock: socket.socket, timeout: float) -> None:
        """Start the clock.

        :param timeout: seconds from now to the last byte of the answer.
        """
        self._sock = sock
        self._deadline = time.monotonic() + timeout
        self.sent = 0
        """Bytes sent so far."""

    def _limit(self) -> socket.socket:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        return self._sock

    def sendall(self, data: bytes) -> None:
        """Send it all. :raises TimeoutError, OSError: as a socket does."""
        view = memoryview(data)
        while view:
            count = self._limit().send(view[:_CHUNK])
            self.sent += count
            view = view[count:]

    def recv_into(self, buffer: memoryview) -> int:
        """Receive what is there. :raises TimeoutError, OSError: as a socket does."""
        return self._limit().recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the answer as a file."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Do nothing: http.client closes its socket before the answer is read. Who connected it closes it."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: TimedSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        return self._sock.recv_into(buffer)
