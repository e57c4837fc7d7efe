"""The controller over TCP: TLS with certificates on both sides, made here."""

import datetime
import ipaddress
import socket
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from octavia_lib.api.drivers import exceptions

from octavia_envoy_provider import errors
from octavia_envoy_provider.driver import EnvoyProviderDriver
from tests import servers, trees


class Authority:
    """A certificate authority that writes what it issues into a directory."""

    def __init__(self, directory, name):
        self._directory, self._name = directory, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = self._sign(self._subject, self._key, [(constraints, True), (usage, True)])
        self.file = self._write("ca", certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, extensions):
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self._key, hashes.SHA256())

    def _write(self, name, content):
        path = self._directory / f"{self._name}-{name}.pem"
        path.write_bytes(content)
        return str(path)

    def issue(self, name, *, passphrase=None, address="127.0.0.1"):
        """Return the files of a new certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, [(names, False)])
        encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return (
            self._write(f"{name}-cert", certificate.public_bytes(pem)),
            self._write(f"{name}-key", key.private_bytes(pem, pkcs8, encryption)),
        )


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pki")
    return Authority(directory, "ours"), Authority(directory, "other")


@pytest.fixture
def tls(authorities, options):
    """Return a controller with the options set to reach it, and the authority of both sides."""
    ours, _ = authorities
    cert, key = ours.issue("octavia-api")
    with servers.TLSController(*ours.issue("controller"), ours.file) as server:
        options(
            controller_url=server.url,
            ca_file=ours.file,
            client_cert_file=cert,
            client_key_file=key,
            connect_timeout=10.0,
        )
        yield server


def refused():
    with pytest.raises(exceptions.DriverError) as caught:
        EnvoyProviderDriver().listener_create(trees.listener())
    return caught.value


def test_mutual_tls(tls):
    EnvoyProviderDriver().listener_create(trees.listener())

    request = tls.only
    assert (request.method, request.path) == ("POST", "/v1/listeners")
    assert request.body["listener_id"] == "li-1"
    assert request.headers["host"] == f"127.0.0.1:{tls.port}"
    assert request.peer["subject"] == ((("commonName", "octavia-api"),),)


def test_an_error_over_tls(tls):
    tls.error(501, "unsupported_option", message="SCTP is not supported.")

    with pytest.raises(exceptions.UnsupportedOptionError, match=r"SCTP is not supported\."):
        EnvoyProviderDriver().listener_create(trees.listener())


def test_a_controller_of_another_authority(tls, authorities, options):
    options(ca_file=authorities[1].file)

    error = refused()

    assert error.user_fault_string == errors.UNREACHABLE
    assert tls.url in error.operator_fault_string
    assert "option ca_file" in error.operator_fault_string
    assert "certificate" in error.operator_fault_string
    assert tls.requests == [], "the request was sent to a stranger"


@pytest.mark.usefixtures("tls")
def test_a_controller_of_another_name(authorities, options):
    ours, _ = authorities
    with servers.TLSController(*ours.issue("elsewhere", address="192.0.2.1"), ours.file) as server:
        options(controller_url=server.url)
        error = refused()

    assert error.user_fault_string == errors.UNREACHABLE
    assert "option controller_url" in error.operator_fault_string
    assert "IP address mismatch" in error.operator_fault_string
    assert server.requests == []


def test_a_client_of_another_authority(tls, authorities, options):
    cert, key = authorities[1].issue("stranger")
    options(client_cert_file=cert, client_key_file=key)

    error = refused()

    assert error.user_fault_string == errors.UNREACHABLE
    assert tls.url in error.operator_fault_string
    assert "option client_cert_file in" in error.operator_fault_string
    assert tls.requests == []


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"])
def test_no_tls_after_the_handshake(says, tls, options):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            connection = server.accept()[0]
            with connection.dup() as below, tls.tls.wrap_socket(connection, server_side=True) as encrypted:
                servers.read_request(encrypted)
                below.sendall(says)

        thread = threading.Thread(target=talk)
        thread.start()
        options(controller_url=f"https://127.0.0.1:{server.getsockname()[1]}")
        error = refused()
        thread.join()

    assert error.user_fault_string == errors.UNREACHABLE
    assert "option client_cert_file in" in error.operator_fault_string


def test_a_renewed_certificate_needs_no_restart(tls, authorities, tmp_path, options):
    ours, _ = authorities
    driver = EnvoyProviderDriver()
    link = tmp_path / "cert.pem", tmp_path / "key.pem"
    options(client_cert_file=str(link[0]), client_key_file=str(link[1]))
    for name in ("first", "second"):
        for path, file in zip(link, ours.issue(name), strict=True):
            path.unlink(missing_ok=True)
            path.symlink_to(file)
        driver.listener_create(trees.listener())

    assert [request.peer["subject"][0][0][1] for request in tls.requests] == ["first", "second"]


@pytest.mark.parametrize("option", ["ca_file", "client_cert_file", "client_key_file"])
def test_files_that_are_not_there_or_not_pem(option, tls, tmp_path, options):
    options(**{option: str(tmp_path / "none.pem")})
    error = refused()
    assert error.user_fault_string == errors.MISCONFIGURED
    assert f"option {option} in" in error.operator_fault_string
    assert "No such file" in error.operator_fault_string

    (tmp_path / "none.pem").write_text("MARKED")
    error = refused()
    assert error.user_fault_string == errors.MISCONFIGURED
    assert option in error.operator_fault_string
    assert "MARKED" not in error.operator_fault_string
    assert tls.requests == []


@pytest.mark.usefixtures("tls")
def test_a_key_of_another_certificate(authorities, options):
    options(client_key_file=authorities[0].issue("another")[1])

    assert "are no pair" in refused().operator_fault_string


@pytest.mark.usefixtures("tls")
def test_a_key_with_a_passphrase_is_an_error_and_no_question(authorities, options):
    cert, key = authorities[0].issue("locked", passphrase=b"open sesame")
    options(client_cert_file=cert, client_key_file=key)

    assert "option client_key_file in [envoy_provider]" in refused().operator_fault_string
    assert "needs a passphrase" in refused().operator_fault_string


@pytest.mark.usefixtures("tls")
def test_nobody_listens(options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        options(controller_url=f"https://127.0.0.1:{free.getsockname()[1]}")
        error = refused()

    assert error.user_fault_string == errors.UNREACHABLE
    assert "Connection refused" in error.operator_fault_string


@pytest.mark.usefixtures("tls")
def test_a_name_that_does_not_resolve(options):
    options(controller_url="https://controller.invalid:9876")

    error = refused()

    assert error.user_fault_string == errors.UNREACHABLE
    assert "https://controller.invalid:9876" in error.operator_fault_string


@pytest.mark.usefixtures("tls")
@pytest.mark.parametrize(
    ("says", "option"), [(b"", "connect_timeout"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "client_cert_file")]
)
def test_a_server_that_does_not_speak_tls(says, option, options):
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def talk():
            with server.accept()[0] as connection:
                connection.sendall(says)
                done.wait(60)

        thread = threading.Thread(target=talk)
        thread.start()
        options(controller_url=f"https://127.0.0.1:{server.getsockname()[1]}", connect_timeout=0.5)
        error = refused()
        done.set()
        thread.join()

    assert error.user_fault_string == errors.UNREACHABLE
    assert f"option {option} in" in error.operator_fault_string
