"""The package as pip installs it."""

import ast
import pathlib
import subprocess
import sys
import threading

import pytest
from stevedore import driver as stevedore_driver

import octavia_envoy_provider
from octavia_envoy_provider import config, version
from octavia_envoy_provider.driver import EnvoyProviderDriver

SOURCES = sorted(pathlib.Path(octavia_envoy_provider.__file__).parent.glob("*.py"))


def test_entry_point_of_the_driver():
    manager = stevedore_driver.DriverManager("octavia.api.drivers", "envoy", invoke_on_load=True)

    assert type(manager.driver) is EnvoyProviderDriver


def test_sample_generator_prints_every_option_with_its_help():
    # What the script oslo-config-generator consists of.
    main = "import sys; from oslo_config import generator; sys.exit(generator.main())"
    sample = subprocess.run(
        [sys.executable, "-c", main, "--namespace", "octavia_envoy_provider"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert "[envoy_provider]" in sample
    text = " ".join(line.lstrip("# ") for line in sample.splitlines())
    for option in config.OPTS:
        assert f"#{option.name} = " in sample, option.name
        assert " ".join(option.help.split()) in " ".join(text.split()), option.name
    assert "#controller_url = unix:///run/octavia-envoy/api.sock" in sample
    assert "#connect_timeout = 2.0" in sample
    assert "#request_timeout = 10.0" in sample


def test_making_a_driver_does_nothing():
    before = threading.active_count()

    drivers = [EnvoyProviderDriver() for _ in range(100)]

    assert threading.active_count() == before
    assert all(vars(each) == {} for each in drivers)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_syntax_of_python_3_10(source):
    ast.parse(source.read_text(), feature_version=(3, 10))


def test_version_of_the_installed_package():
    from importlib import metadata

    assert metadata.version("octavia-envoy-provider") == version.__version__
