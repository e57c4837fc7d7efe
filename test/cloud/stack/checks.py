"""Says, all at once, what this machine lacks that `cloud` cannot install by itself."""

import os
import re
import shutil
import subprocess
import sys

from .instance import REPOSITORY
from .problem import Problem

GO = (1, 26)


def machine(go=True):
    """Raises a Problem with one line for everything that is missing."""
    missing = []
    if os.geteuid() != 0:
        missing.append("root: network namespaces and apt need it; run it with sudo or in a root shell")
    if sys.version_info < (3, 11):
        missing.append(f"Python 3.11 or later as python3: this is {sys.version.split()[0]}")
    if not shutil.which("apt-get"):
        missing.append("apt-get: only Debian and what derives from it is supported")
    if go and (found := _go_problem()):
        missing.append(found)
    if missing:
        raise Problem("this machine lacks\n" + "\n".join(f"  - {line}" for line in missing))


def root():
    if os.geteuid() != 0:
        raise Problem("root is needed; run it with sudo or in a root shell")


def _go_problem():
    advice = "install it from https://go.dev/dl/ and put it on PATH"
    if not shutil.which("go"):
        return f"Go {GO[0]}.{GO[1]} or later: {advice}"
    # Asked inside the repository: a Go of 1.21 or later fetches the toolchain that go.mod names, and answers with that.
    done = subprocess.run(["go", "env", "GOVERSION"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    version = re.match(r"go(\d+)\.(\d+)", done.stdout)
    if version and (int(version[1]), int(version[2])) >= GO:
        return None
    return f"Go {GO[0]}.{GO[1]} or later: found {(done.stdout or done.stderr).strip()}; {advice}"
