"""What the demo times: the first answer of a load balancer, and the driver-agent's part in it."""

import json
import socket
import statistics
import subprocess
import sys
import time
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


def driver_agent(instance, load_balancer):
    """Seconds that the driver-agent takes for the two things that a change has to ask of it before it can go live.

    They are a status message, which waits for octavia-api's commit, and the question for the load balancer's tree. Both
    are asked here again, with no change for them to carry: the status is the one that the load balancer has.
    """
    status = {"loadbalancers": [{"id": load_balancer["id"], "operating_status": load_balancer["operating_status"]}]}
    question = {"object": "loadbalancers", "id": load_balancer["id"]}

    def seconds(kind, message):
        times = []
        for _ in range(5):
            begin = time.monotonic()
            _ask(instance.run / f"octavia-{kind}.sock", message)
            times.append(time.monotonic() - begin)
        return statistics.median(times)

    return seconds("status", status) + seconds("get", question)


def _ask(path, message):
    """One message to one of the driver-agent's sockets: the length, a newline, JSON; the answer has the same form."""
    text = json.dumps(message).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(b"%d\n" % len(text) + text)
        with connection.makefile("rb") as answer:
            length = int(answer.readline())
            return json.loads(answer.read(length))
