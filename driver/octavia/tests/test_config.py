"""The options of octavia.conf."""

import pytest
from octavia_lib.api.drivers import exceptions
from oslo_config import cfg

from octavia_envoy_provider import config, errors
from octavia_envoy_provider.driver import EnvoyProviderDriver
from tests import trees
from tests.raising import raised


@pytest.mark.parametrize(
    ("values", "option", "why"),
    [
        ({"controller_url": "http://127.0.0.1:9876"}, "controller_url", "plain http is refused"),
        ({"controller_url": ""}, "controller_url", "must be unix:"),
        ({"controller_url": None}, "controller_url", "must be unix:"),
        ({"controller_url": "/run/api.sock"}, "controller_url", "must be unix:"),
        ({"controller_url": "unix://run/api.sock"}, "controller_url", "absolute"),
        ({"controller_url": "unix:"}, "controller_url", "absolute"),
        ({"controller_url": "https://"}, "controller_url", "https://host:port"),
        ({"controller_url": "https://host:port"}, "controller_url", "https://host:port"),
        ({"controller_url": "https://[::1"}, "controller_url", "https://host:port"),
        ({"controller_url": "https://user:MARKED@host:1"}, "controller_url", "no user"),
        ({"controller_url": "https://host:1/v1"}, "controller_url", "no user, path or query"),
        ({"controller_url": "https://host:1?x"}, "controller_url", "no user, path or query"),
        ({"controller_url": "https://host:1"}, "ca_file", "needed when controller_url is https"),
        ({"controller_url": "https://h:1", "ca_file": "/x"}, "client_cert_file", "needed"),
        ({"controller_url": "https://h:1", "ca_file": "/x", "client_cert_file": "/x"}, "client_key_file", "needed"),
        (
            {"controller_url": "https://h:1", "ca_file": "/no/ca", "client_cert_file": "/x", "client_key_file": "/x"},
            "ca_file",
            "No such file or directory: '/no/ca'",
        ),
        ({"connect_timeout": float("nan")}, "connect_timeout", "number of seconds"),
        ({"request_timeout": float("inf")}, "request_timeout", "number of seconds"),
        ({"request_timeout": None}, "request_timeout", "number of seconds"),
    ],
)
def test_bad_options_are_named(values, option, why, options):
    options(**values)

    driver = EnvoyProviderDriver()
    error = raised(lambda: driver.loadbalancer_create(trees.loadbalancer()))

    assert type(error) is exceptions.DriverError
    assert error.user_fault_string == errors.MISCONFIGURED
    assert f"option {option} in [envoy_provider]" in error.operator_fault_string
    assert why in error.operator_fault_string
    assert "MARKED" not in error.operator_fault_string


@pytest.mark.parametrize("line", ["connect_timeout = soon", "request_timeout = 0", "connect_timeout = -1"])
def test_bad_options_in_a_file_are_named(line, tmp_path):
    (tmp_path / "octavia.conf").write_text(f"[envoy_provider]\n{line}\n")
    cfg.CONF(["--config-file", str(tmp_path / "octavia.conf")], project="octavia")

    error = raised(lambda: EnvoyProviderDriver().loadbalancer_create(trees.loadbalancer()))

    assert type(error) is exceptions.DriverError
    assert f"option {line.split()[0]} in [envoy_provider]" in error.operator_fault_string


def test_options_from_a_file(tmp_path):
    (tmp_path / "octavia.conf").write_text(
        "[envoy_provider]\n"
        "controller_url = https://[2001:db8::1]:9876/\n"
        "ca_file = /ca\nclient_cert_file = /cert\nclient_key_file = /key\n"
        "connect_timeout = 0.5\nrequest_timeout = 3\n"
    )
    cfg.CONF(["--config-file", str(tmp_path / "octavia.conf")], project="octavia")

    assert config.load() == config.Settings(
        url="https://[2001:db8::1]:9876/",
        socket_path="",
        host="2001:db8::1",
        port=9876,
        ca_file="/ca",
        client_cert_file="/cert",
        client_key_file="/key",
        connect_timeout=0.5,
        request_timeout=3.0,
    )


def test_without_any_configuration_there_are_defaults_and_no_error_before_a_call():
    assert config.load().socket_path == "/run/octavia-envoy/api.sock"
    EnvoyProviderDriver()


@pytest.mark.parametrize("url", ["unix:///run/x y%20.sock", "unix:/run/x y%20.sock"])
def test_unix_paths_are_taken_as_they_are(url, options):
    options(controller_url=url)

    assert config.load().socket_path == "/run/x y%20.sock"


def test_the_port_of_https_is_443_if_not_given(options):
    options(controller_url="https://h", ca_file="/ca", client_cert_file="/cert", client_key_file="/key")

    assert (config.load().host, config.load().port) == ("h", 443)
