"""A controller to talk to: a real HTTP server on a real unix socket that answers what a test wants."""

import logging
import pathlib
import shutil
import tempfile

import pytest
from oslo_config import cfg
from oslo_context import context

from octavia_envoy_provider import config
from octavia_envoy_provider.driver import EnvoyProviderDriver
from tests import servers


@pytest.fixture
def socket_dir():
    # Not tmp_path: its name can be longer than a unix socket's may be (107 bytes).
    directory = tempfile.mkdtemp(prefix="oep-", dir="/tmp")
    yield pathlib.Path(directory)
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def clean_globals():
    """Undo what a test did to the two globals of oslo."""
    yield
    cfg.CONF.clear()
    cfg.CONF.reset()
    if context.get_current() is not None:
        del context._request_store.context


@pytest.fixture
def options():
    """Set options of group [envoy_provider], as octavia.conf would."""
    cfg.CONF.register_opts(config.OPTS, group=config.GROUP)

    def set_options(**values):
        for name, value in values.items():
            cfg.CONF.set_override(name, value, group=config.GROUP.name)

    return set_options


@pytest.fixture
def controller(socket_dir, options):
    with servers.UnixController(socket_dir / "api.sock") as server:
        options(controller_url=server.url)
        yield server


@pytest.fixture
def raw(socket_dir, options):
    """Start a server on a unix socket that runs a function with each connection, in a thread."""
    started = []

    def start(talk):
        server = servers.RawServer(socket_dir / "raw.sock", talk)
        started.append(server)
        options(controller_url=server.url)
        return server

    yield start
    for server in started:
        server.close()


@pytest.fixture
def driver():
    return EnvoyProviderDriver()


@pytest.fixture
def all_logs(caplog):
    """Record every line of every logger, down to debug."""
    caplog.set_level(logging.DEBUG)
    return caplog
