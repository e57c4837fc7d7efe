"""Running commands, and waiting for something to become true."""

import subprocess
import time
from pathlib import Path

from .problem import Problem


def run(*command, log=None, env=None, cwd=None):
    """Runs a command to its end and returns what it printed; with a log, its output is appended there instead.

    A failure is a Problem that quotes the end of the output.
    """
    words = [str(word) for word in command]
    try:
        if log is None:
            done = subprocess.run(words, env=env, cwd=cwd, text=True, check=False, capture_output=True)
            output = done.stdout + done.stderr
        else:
            with Path(log).open("a") as file:
                done = subprocess.run(words, env=env, cwd=cwd, check=False, stdout=file, stderr=subprocess.STDOUT)
            output = f"{tail(log)}\n(all of it: {log})"
    except FileNotFoundError:
        raise Problem(f"{words[0]} is not installed") from None
    if done.returncode != 0:
        raise Problem(f"`{' '.join(words)}` failed ({done.returncode}):\n{output.strip()[-4000:]}")
    return "" if log else done.stdout


def tail(path, lines=20):
    """The last lines of a file, or a remark that there is none."""
    try:
        return "\n".join(Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return f"({path} does not exist)"


def wait_until(true, seconds, problem, pause=0.1):
    """Polls, every pause seconds, until true() is; after that many seconds raises a Problem that problem() words."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise Problem(problem())
        time.sleep(pause)
