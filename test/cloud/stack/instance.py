"""An instance: one copy of the whole cloud, with folders, ports and names of its own; several run side by side."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .problem import Problem

REPOSITORY = Path(__file__).resolve().parents[3]
CLOUD = REPOSITORY / "test" / "cloud"
HOST = "127.0.0.1"

# First port of an instance. All lie below 32768, where Linux begins to hand out ports to outgoing connections: above
# it, a service could find its port taken by some client of another.
PORT_BASES = {"demo": 25000, "test": 26000}

# Where a service listens, counted from the first port: the last three digits of its usual port.
PORTS = {"keystone": 0, "xds": 180, "barbican": 311, "neutron": 696, "octavia": 876}

# The network that every instance has. Neutron hands out .50 to .250; the hosts of the lab live below.
NETWORK, SUBNET = "public", "public-subnet"
CIDR, GATEWAY, POOL = "203.0.113.0/24", "203.0.113.1", ("203.0.113.50", "203.0.113.250")
# The same network's subnet of IPv6. A host's address there ends as its other one does.
SUBNET6, PREFIX6 = f"{SUBNET}-v6", "2001:db8:113::"
CIDR6, GATEWAY6, POOL6 = f"{PREFIX6}/64", f"{PREFIX6}1", (f"{PREFIX6}50", f"{PREFIX6}250")


@dataclass(frozen=True)
class Instance:
    """Names, folders and ports. It does not say whether anything exists or runs."""

    name: str
    base: int

    @classmethod
    def named(cls, name):
        """The instance of that name; OE_PORT_BASE sets the first port of one that is neither demo nor test."""
        if not re.fullmatch("[a-z][a-z0-9]{0,6}", name):
            raise Problem(f"instance name {name!r}: up to 7 lower-case letters and digits, a letter first")
        base = PORT_BASES.get(name) or os.environ.get("OE_PORT_BASE")
        if not base:
            raise Problem(f"instance {name!r} has no ports: set OE_PORT_BASE, for instance 27000")
        return cls(name, int(base))

    @property
    def state(self):
        """What outlives a restart: databases, configuration, logs, the amphorae's folders."""
        return Path(os.environ.get("OE_HOME", "/var/lib/octavia-envoy")) / self.name

    @property
    def run(self):
        """Sockets and pid files."""
        return Path("/run/octavia-envoy") / self.name

    @property
    def etc(self):
        return self.state / "etc"

    @property
    def logs(self):
        return self.state / "log"

    @property
    def pids(self):
        return self.run / "pids"

    @property
    def provider(self):
        """The provider shim as octavia-api imports it; beside the virtual environment, which instances share."""
        return self.state / "provider"

    @property
    def mysql_socket(self):
        return self.run / "mysqld.sock"

    @property
    def api_socket(self):
        return self.run / "api.sock"

    @property
    def controller_config(self):
        return self.etc / "octavia-envoy.yaml"

    def port(self, service):
        return self.base + PORTS[service]

    def url(self, service):
        return f"http://{HOST}:{self.port(service)}"

    @property
    def auth_url(self):
        return self.url("keystone") + "/v3"

    def password(self, user):
        """The password that `configure` made up for admin or for one of the services' users."""
        return (self.etc / f"{user}.password").read_text().strip()
