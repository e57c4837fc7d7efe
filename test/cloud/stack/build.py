"""What is built from this repository: the controller, the agent, the lab's little server and the provider shim."""

import os

from .instance import REPOSITORY
from .install import uv
from .shell import run

BINARIES = REPOSITORY / "build"
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


def shim(instance, venv, progress):
    """Installs driver/octavia into a folder of the instance that its octavia-api has on PYTHONPATH."""
    with progress.step("installing the provider shim"):
        run(uv(), "pip", "install", "--quiet", "--no-deps", "--reinstall", "--python", venv / "bin" / "python",
            "--target", instance.provider, REPOSITORY / "driver" / "octavia")
