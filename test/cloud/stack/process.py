"""Background processes that later runs of `cloud` find again by pid file."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from .problem import Problem
from .shell import tail, wait_until


class Process:
    """One background process, the leader of its own session, known by <pids>/<name>.pid.

    Beside the pid the time at which the kernel says that it started is recorded: a pid that now belongs to another
    process is never signalled. (The command line would not do: Python services rewrite theirs.)
    """

    def __init__(self, name, pids, log):
        self.name, self.log = name, Path(log)
        self.pid_file = Path(pids) / f"{name}.pid"
        self.started_file = Path(pids) / f"{name}.started"

    def pid(self):
        """The pid while the process lives, else None."""
        try:
            pid = int(self.pid_file.read_text())
            return pid if started_at(pid) == self.started_file.read_text() else None
        except (OSError, ValueError):
            return None

    def start(self, argv, env, cwd="/"):
        """Starts it unless it runs; does not wait until it is of use."""
        if self.pid():
            return
        self.pid_file.parent.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a") as log:
            try:
                process = subprocess.Popen([str(word) for word in argv], env=env, cwd=cwd, stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log, start_new_session=True)
            except FileNotFoundError as missing:
                raise Problem(f"{self.name} cannot start: {missing.filename} does not exist") from None
        self.started_file.write_text(started_at(process.pid) or "")
        self.pid_file.write_text(f"{process.pid}\n")

    def stop(self, seconds=20):
        """SIGTERM, and SIGKILL to it and its children when it has not ended in time."""
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            signal_group(pid, signal.SIGCONT)  # one that is paused would never see the SIGTERM
            try:
                wait_until(lambda: not self.pid(), seconds, lambda: "")
            except Problem:
                signal_group(pid, signal.SIGKILL)
                wait_until(lambda: not self.pid(), 5, lambda: f"{self.name} (pid {pid}) survives SIGKILL")
        self._forget()

    def kill(self, group=True):
        """SIGKILL, at once; without group only to the process itself, so that its children stay."""
        pid = self.pid()
        if pid:
            if group:
                signal_group(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not self.pid(), 5, lambda: f"{self.name} (pid {pid}) survives SIGKILL")
        self._forget()

    def pause(self):
        """SIGSTOP to it and its children: connections to it hang, as with a machine that is overloaded."""
        signal_group(self._running(), signal.SIGSTOP)

    def resume(self):
        signal_group(self._running(), signal.SIGCONT)

    def wait_ready(self, ready, seconds):
        """Waits until ready(); a process that ends before, or takes longer, is a Problem with the tail of its log."""
        def look():
            if not self.pid():
                raise Problem(f"{self.name} ended while starting. {self.log} ends with:\n{tail(self.log)}")
            return ready()
        wait_until(look, seconds,
                   lambda: f"{self.name} is not ready after {seconds} s. {self.log} ends with:\n{tail(self.log)}")

    def _running(self):
        pid = self.pid()
        if not pid:
            raise Problem(f"{self.name} does not run")
        return pid

    def _forget(self):
        self.pid_file.unlink(missing_ok=True)
        self.started_file.unlink(missing_ok=True)


def started_at(pid):
    """When a process started, in clock ticks since boot (proc(5), stat, field 22); None when it has ended."""
    try:
        # The second field is the command in brackets and may hold anything, brackets and blanks included.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def signal_group(pid, number):
    """Signals a session's leader and all that it started and that did not leave its process group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, number)
