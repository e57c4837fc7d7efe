"""What the demo times: the first answer of a load balancer, and the driver-agent's part in it."""

import http.client
import json
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stack.problem import Problem

PROBE = Path(__file__).with_name("probe.py")


class FirstAnswer:
    """Asks a URL from a network namespace again and again, from construction until it answers with status 200."""

    def __init__(self, namespace, host):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", namespace, sys.executable, PROBE, host], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "503":
            self.process.kill()
            raise Problem(f"http://{host}/ should answer 503 while the pool has no member")

    def time(self, seconds):
        """The time.monotonic() of the answer; the kernel's clock is one for all processes."""
        try:
            answer, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Problem(f"no answer from the members within {seconds} s") from None
        return float(answer)


class DriverAgent:
    """The driver-agent's share: what the controller's metrics have counted since construction."""

    NAME = "octavia_envoy_driver_agent_seconds"

    def __init__(self, api_socket):
        self.api_socket = api_socket
        self.before = self._read()

    def since(self):
        """For each request (barrier, get, update) its number and the seconds that all of them took."""
        return {request: (count - self.before[request][0], seconds - self.before[request][1])
                for request, (count, seconds) in self._read().items()}

    def asked_once(self):
        """Whether nothing but one change has asked; the resync may have, or another load balancer."""
        return all(count == 1 for count, _ in self.since().values())

    def _read(self):
        connection = http.client.HTTPConnection("controller", timeout=10)
        with socket.socket(socket.AF_UNIX) as connection.sock:
            connection.sock.connect(str(self.api_socket))
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        pattern = self.NAME + r'_(count|sum)\{request="(\w+)"\} (\S+)'
        values = {(request, what): float(value) for what, request, value in re.findall(pattern, text)}
        return {request: (values[request, "count"], values[request, "sum"]) for request, _ in values}


@dataclass(frozen=True)
class Times:
    """What happened between the last API call and ACTIVE. All are seconds; one begins when the one before has ended."""

    before: float  # octavia-api, until it asks the controller
    accept: float  # the controller answers octavia-api: the call is checked and committed
    barrier: float  # the driver-agent answers as soon as octavia-api has committed
    get: float  # the driver-agent reads the load balancer back
    live: float  # the controller translates and streams, Envoy acknowledges and answers a client
    rest: float  # the change is noted as done
    update: float  # the driver-agent takes the statuses
    returned: float  # when octavia-api answered its client, counted from the call's start

    @property
    def octavia(self):
        """Octavia's part of the time to the first answer."""
        return self.before + self.barrier + self.get

    @property
    def answered(self):
        """From the call's start to the first answer."""
        return self.octavia + self.accept + self.live

    def table(self):
        """For each stretch of time: all of it, Octavia's part, ours."""
        after_return = self.answered - self.returned
        active = self.answered + self.rest + self.update
        parts = {
            "first": (self.answered, self.octavia),
            # Octavia is done when the tree is read: what of that lies behind the return is its part.
            "wait": (
                after_return,
                min(max(self.before + self.accept + self.barrier + self.get - self.returned, 0), after_return),
            ),
            "active": (active, self.octavia + self.update),
        }
        return {name: (whole, octavia, whole - octavia) for name, (whole, octavia) in parts.items()}


def asked_at(log, path):
    """When the controller got the last POST of a path, as time.time(), and the seconds that it took to answer."""
    for line in reversed(log.read_text().splitlines()):
        entry = json.loads(line) if line.startswith("{") else {}
        if (entry.get("msg"), entry.get("method"), entry.get("path")) == ("request", "POST", path):
            took = entry["ms"] / 1000
            return datetime.fromisoformat(entry["time"]).timestamp() - took, took
    raise Problem(f"{log} does not hold the call that was just made")
