"""The services of an instance: how each is started, and when it is ready."""

import http.client
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

from .build import BINARIES
from .instance import CLOUD, HOST
from .problem import Problem
from .process import Process

# Seconds that a service may take to start; it takes a few, and more on a busy machine.
PATIENCE = 120


@dataclass(frozen=True)
class Service:
    """One background process."""

    name: str
    argv: list
    ready: Callable[[], bool]
    env: dict = field(default_factory=dict)
    before: Callable[[], None] = lambda: None
    # A SIGKILL also goes to what the service has started. Not so with the controller: what is left of it when it dies
    # are its amphorae, which go on serving.
    kill_group: bool = True


class Services:
    """All services of an instance, in the order in which they start."""

    def __init__(self, instance, venv):
        self.instance, self.venv = instance, venv
        agent_sockets = [instance.run / f"octavia-{kind}.sock" for kind in ("status", "stats", "get")]
        octavia_conf = ("--config-file", instance.etc / "octavia/octavia.conf")
        listed = [
            Service("mariadb", self._mariadb(), self._mariadb_ready),
            self._wsgi("keystone", env={"OS_KEYSTONE_CONFIG_FILES": instance.etc / "keystone/keystone.conf"}),
            self._wsgi("neutron", env={"OS_NEUTRON_CONFIG_DIR": instance.etc / "neutron",
                                       "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2_conf.ini"}),
            self._wsgi("barbican", env={"BARBICAN_PASTE": instance.etc / "barbican/barbican-api-paste.ini"}),
            Service("driver-agent", [venv / "bin/octavia-driver-agent", *octavia_conf],
                    # Looked at, never connected to: a connection without a message leaves a child that spins for ever.
                    ready=lambda: all(path.is_socket() for path in agent_sockets),
                    before=lambda: [path.unlink(missing_ok=True) for path in agent_sockets]),
            Service("controller", [BINARIES / "octavia-envoy", "serve", "--config", instance.controller_config],
                    ready=lambda: _answers_ready(instance.api_socket), kill_group=False),
            self._wsgi("octavia", *octavia_conf),
        ]
        self.by_name = {service.name: service for service in listed}

    def _wsgi(self, name, *arguments, env=None):
        port = self.instance.port(name)
        return Service(name, [self.venv / "bin/python", CLOUD / "serve.py", name, HOST, port, *arguments],
                       ready=lambda: _answers(port), env=env or {})

    def _mariadb(self):
        return ["mariadbd", "--no-defaults", "--user=root", f"--datadir={self.instance.state}/mysql",
                f"--socket={self.instance.mysql_socket}", f"--pid-file={self.instance.run}/mariadbd.pid",
                "--skip-networking", "--max-connections=400",
                "--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci",
                # Small and fast: a crash of the machine may cost the last second.
                "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--sync-binlog=0"]

    def _mariadb_ready(self):
        query = ["mariadb", "--no-defaults", "-u", "root", "-S", self.instance.mysql_socket, "-e", "select 1"]
        return subprocess.run(query, capture_output=True, check=False).returncode == 0

    def environment(self):
        """What every service's environment holds: nothing of the caller's, whose proxies or OS_* could mislead it."""
        return {
            "PATH": f"{self.venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.instance.etc / "home"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.instance.provider),
            "PYTHONUNBUFFERED": "1",
        }

    def names(self):
        return list(self.by_name)

    def process(self, name):
        """The process of a service."""
        if name not in self.by_name:
            raise Problem(f"no service is named {name!r}: there are {', '.join(self.by_name)}")
        return Process(name, self.instance.pids, self.instance.logs / f"{name}.log")

    def start(self, names):
        """Starts services at once, then waits until all are ready."""
        for name in names:
            process = self.process(name)
            service = self.by_name[name]
            if not process.pid():
                service.before()
                env = self.environment() | {key: str(value) for key, value in service.env.items()}
                process.start(service.argv, env, cwd=self.instance.state)
        for name in names:
            self.process(name).wait_ready(self.by_name[name].ready, PATIENCE)

    def stop_outdated(self, name):
        """Stops a service whose program has been built anew since it started."""
        pid = self.process(name).pid()
        if pid and not os.path.samefile(f"/proc/{pid}/exe", self.by_name[name].argv[0]):
            self.stop([name])

    def stop(self, names):
        """Stops services, the one that started last first."""
        for name in reversed(self.names()):
            if name in names:
                self.process(name).stop()

    def kill(self, name):
        self.process(name).kill(group=self.by_name[name].kill_group)


def _answers(port):
    """Whether HTTP is spoken on the port; any status will do."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{HOST}:{port}/", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, http.client.HTTPException):
        return False


def _answers_ready(path):
    """Whether the controller says on its unix socket that it is ready."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(path))
            connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: controller\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False
