"""The whole of an instance: up, down, status."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from . import build, checks, configure, database, identity, install, lab
from .build import BINARIES
from .instance import CLOUD
from .problem import Problem
from .services import Services
from .shell import run, wait_until

PROVIDERS = "envoy:The Envoy provider."
OPENSTACK = ["keystone", "neutron", "barbican", "driver-agent", "octavia"]


def up(instance, progress, only_openstack=False):
    """Installs, builds and starts what is missing; returns the environment that describes the instance.

    With only_openstack, Octavia has its no-op provider instead of ours: what then fails is not ours.
    """
    checks.machine()
    install.packages(progress)
    venv, envoy = install.venv(progress), install.envoy(progress)
    build.programs(progress, ["lab-member"] if only_openstack else build.PROGRAMS)
    if not only_openstack:
        with progress.step("installing the provider shim"):
            build.shim(instance.provider, venv)

    database.create(instance, venv, progress)
    configure.services(instance, venv, "noop_driver:Does nothing." if only_openstack else PROVIDERS)
    configure.controller(instance, envoy)
    services = Services(instance, venv)
    with progress.step("starting MariaDB"):
        services.start(["mariadb"])
    _bootstrap(services, progress)
    with progress.step("starting Keystone, Neutron, Barbican, Octavia's API and driver-agent"):
        services.start(OPENSTACK)
    with progress.step("users, roles and the catalogue"):
        identity.fill(instance)
    if not only_openstack:
        with progress.step("starting the controller"):
            services.stop_outdated("controller")
            services.start(["controller"])
    with progress.step("network public, members and a client"):
        made = lab.build(instance)
    return configure.environment(instance, venv, envoy, CLOUD / "cloud", made)


def _bootstrap(services, progress):
    done = services.instance.state / "bootstrapped"
    if not done.exists():
        with progress.step("bootstrapping Keystone"):
            identity.bootstrap(services)
        done.touch()


def is_up(instance):
    """Whether any service of the instance runs."""
    services = installed(instance)
    return any(services.process(name).pid() for name in services.names())


def down(instance, progress):
    """Stops everything and removes all that belongs to the instance; what is in the cache stays."""
    checks.root()
    if not instance.state.exists() and not instance.run.exists():
        progress.say(f"{instance.name}: nothing there")
        return
    services = installed(instance)
    networks = _networks(services)
    with progress.step(f"stopping {instance.name}'s services"):
        services.stop([name for name in services.names() if name != "mariadb"])
    with progress.step("removing amphorae, hosts and bridges"):
        _stop_amphorae(instance)
        lab.tear_down(instance, networks)
        services.stop(["mariadb"])
    with progress.step(f"removing {instance.state}"):
        for folder in (instance.run, instance.state):
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # another instance may live there
                folder.parent.rmdir()


def status(instance):
    """One line a process: its name, its pid or that it does not run, whether it is ready, its log."""
    services = installed(instance)
    for name in services.names():
        process = services.process(name)
        pid = process.pid()
        state = "-" if not pid else "ready" if services.by_name[name].ready() else "not ready"
        print(f"{name:14} {pid or 'down':>8}  {state:10} {process.log}")
    for host in lab.HOSTS:
        process = lab.server(instance, host)
        pid = process.pid() if host.serves else None
        print(f"{host.namespace(instance):14} {pid or '-':>8}  {'':10} {host.address}")


def installed(instance):
    """The services of an instance that has been up before."""
    environment = instance.state / "openrc"
    if not environment.exists():
        return Services(instance, Path("/nonexistent"))
    # The last line puts the virtual environment first on PATH.
    venv = environment.read_text().rpartition("PATH=")[2].partition("/bin:")[0]
    return Services(instance, Path(venv))


def _networks(services):
    """The ids of the instance's Neutron networks, each of which may have a bridge."""
    instance = services.instance
    if not (instance.state / "mysql").exists():
        return []
    try:
        services.start(["mariadb"])
        return run("mariadb", "--no-defaults", "-u", "root", "-S", instance.mysql_socket, "-N",
                   "-e", "select id from neutron.networks").split()
    except Problem as problem:
        print(f"cannot read the list of networks, bridges may stay: {problem}")
        return []


def _stop_amphorae(instance):
    """Ends what the local compute driver left running: processes whose command line names the instance's amphorae."""
    marks = [f"{folder}/amphorae/".encode() for folder in (instance.state, instance.run)]

    def running():
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and any(mark in (entry / "cmdline").read_bytes() for mark in marks):
                    found.append(int(entry.name))
            except OSError:
                continue  # it has just ended
        return [pid for pid in found if pid != os.getpid()]

    def send(number):
        for pid in running():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    send(signal.SIGTERM)
    try:
        wait_until(lambda: not running(), 5, lambda: "")
    except Problem:
        send(signal.SIGKILL)
        wait_until(lambda: not running(), 5, lambda: f"amphorae survive SIGKILL: {running()}")


def keep_logs(instance):
    """Copies the logs of an instance that is about to go away; returns where to."""
    kept = BINARIES / f"logs-{instance.name}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(instance.logs, kept)
    for log in (instance.state / "amphorae").rglob("*.log"):
        target = kept / "amphorae" / log.relative_to(instance.state / "amphorae")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, target)
    return kept
