"""What is built from this repository: the controller, the agent, the lab's little server and the provider shim."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .install import uv
from .instance import REPOSITORY
from .shell import run

BINARIES = REPOSITORY / "build"
SHIM = REPOSITORY / "driver" / "octavia"
PROGRAMS = {
    "octavia-envoy": "./driver/cmd/octavia-envoy",
    "amphora-agent": "./amphora-image/cmd/amphora-agent",
    "lab-member": "./test/cloud/member",
}


def programs(progress, names):
    """Builds our programs into build/, without cgo: they run wherever the kernel does."""
    with progress.step("building " + ", ".join(names)):
        for name in names:
            run("go", "build", "-trimpath", "-o", BINARIES / name, PROGRAMS[name],
                cwd=REPOSITORY, env=os.environ | {"CGO_ENABLED": "0"})


def shim(target, venv):
    """Installs driver/octavia, as pip does, into a folder for PYTHONPATH: the virtual environment itself is shared."""
    with tempfile.TemporaryDirectory() as folder:
        # From a copy: setuptools leaves its work in the source, and finds there what has since been deleted.
        source = Path(folder) / "source"
        shutil.copytree(SHIM, source, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", "tests"))
        run(uv(), "pip", "install", "--quiet", "--no-deps", "--reinstall", "--python", venv / "bin" / "python",
            "--target", target, source)


def test_shim(venv):
    """Runs the shim's own tests against the package as installed; returns pytest's exit status."""
    with tempfile.TemporaryDirectory() as target:
        shim(target, venv)
        return subprocess.run([venv / "bin" / "pytest", "-p", "no:cacheprovider"], cwd=SHIM, check=False,
                              env=os.environ | {"PYTHONPATH": target, "PYTHONDONTWRITEBYTECODE": "1"}).returncode
