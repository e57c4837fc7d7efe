"""MariaDB, and the tables of the four services in it.

Creating the tables is the slowest step of all (over a minute), and they are always the same: they are made once, in a
scratch instance, and its data folder is kept in the cache. Every instance starts from a copy.
"""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import configure
from .install import CACHE, fingerprint
from .instance import CLOUD, Instance
from .problem import Problem
from .services import Services
from .shell import run, tail

DATABASES = ("keystone", "barbican", "neutron", "octavia")


def create(instance, venv, progress):
    """Gives the instance its data folder, unless it has one."""
    data = instance.state / "mysql"
    if data.exists():
        return
    template = _template(venv, progress)
    with progress.step("copying the empty databases"):
        copy = data.with_suffix(".new")
        shutil.rmtree(copy, ignore_errors=True)
        copy.parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", template, copy)
        copy.rename(data)


def _template(venv, progress):
    """The folder in the cache with the empty tables of these versions of the services and of MariaDB."""
    lock = (CLOUD / "requirements.lock").read_text()
    folder = CACHE / f"schemas-{fingerprint(lock, run('mariadbd', '--version'))}"
    if not folder.exists():
        with progress.step("creating the databases' tables (only this once)"), tempfile.TemporaryDirectory() as scratch:
            instance = _Scratch("scratch", 0, Path(scratch))
            _make_tables(instance, venv)
            CACHE.mkdir(parents=True, exist_ok=True)
            copy = Path(tempfile.mkdtemp(prefix="schemas-", dir=CACHE))
            run("cp", "-a", f"{instance.state}/mysql/.", copy)
            try:
                copy.rename(folder)
            except OSError:  # another instance was faster
                shutil.rmtree(copy)
    return folder


@dataclass(frozen=True)
class _Scratch(Instance):
    """An instance of which only the database runs, in a temporary folder."""

    folder: Path

    @property
    def state(self):
        return self.folder

    @property
    def run(self):
        return self.folder / "run"


def _make_tables(instance, venv):
    configure.services(instance, venv, "noop_driver:None.")
    run("mariadb-install-db", "--no-defaults", f"--datadir={instance.state}/mysql", "--user=root",
        "--auth-root-authentication-method=normal", "--skip-test-db", log=instance.logs / "mariadb-install.log")
    services = Services(instance, venv)
    services.start(["mariadb"])
    try:
        run("mariadb", "--no-defaults", "-u", "root", "-S", instance.mysql_socket,
            "-e", "".join(f"create database {name};" for name in DATABASES))
        config = {name: instance.etc / name / f"{name}.conf" for name in DATABASES}
        neutron = (venv / "bin/neutron-db-manage", "--config-file", config["neutron"],
                   "--config-file", instance.etc / "neutron/ml2_conf.ini", "upgrade", "heads")
        keystone = (venv / "bin/keystone-manage", "--config-file", config["keystone"], "db_sync")
        barbican = (venv / "bin/barbican-manage", "db", "upgrade")
        octavia = (venv / "bin/octavia-db-manage", "--config-file", config["octavia"], "upgrade", "head")
        _side_by_side(services.environment(), instance.logs, neutron, keystone, barbican, octavia)
    finally:
        services.stop(["mariadb"])


def _side_by_side(env, logs, *commands):
    """Runs all at once: they work on different databases."""
    running = []
    for command in commands:
        log = logs / f"{command[0].name}.log"
        with log.open("w") as file:
            running.append((subprocess.Popen([str(word) for word in command], env=env, stdout=file, stderr=file), log))
    failed = [log for process, log in running if process.wait() != 0]
    if failed:
        raise Problem("creating tables failed:\n" + "\n".join(f"{log}:\n{tail(log)}" for log in failed))
