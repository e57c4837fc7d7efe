"""The lab: a Linux bridge for the network `public`, and hosts on it, each a network namespace.

The bridge is the one that the controller's local network driver plugs amphorae into; whoever comes first makes it. It
has no address on this machine: clients and members meet load balancers only through it.
"""

import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .build import BINARIES
from .instance import CIDR, CIDR6, GATEWAY, GATEWAY6, NETWORK, POOL, POOL6, PREFIX6, SUBNET, SUBNET6
from .process import Process
from .rest import Cloud
from .shell import run


@dataclass(frozen=True)
class Host:
    """A namespace with one interface, eth0, and perhaps the lab's little server."""

    role: str
    address: str
    serves: tuple = ()
    # More addresses of the interface: whoever binds to one of them is another client.
    more: tuple = ()

    @property
    def address6(self):
        return PREFIX6 + self.address.rpartition(".")[2]

    def namespace(self, instance):
        return f"{instance.name}-{self.role}"


MEMBER = ("-http", ":80", "-proxy", ":8081", "-tls", ":443", "-grpc", ":50051", "-echo", ":7", "-udp", ":53")
HOSTS = (
    Host("client", "203.0.113.10", more=tuple(f"203.0.113.{number}" for number in range(11, 19))),
    Host("member1", "203.0.113.21", MEMBER),
    Host("member2", "203.0.113.22", MEMBER),
    # The instance's MariaDB: the one TCP service with a protocol of its own that is there anyway.
    Host("db", "203.0.113.30", ("-forward", ":3306={mysql_socket}")),
)


@dataclass(frozen=True)
class Lab:
    """The ids that programs need: of the Neutron network, its subnets, and its bridge's name."""

    network_id: str
    subnet_id: str
    subnet6_id: str

    @property
    def bridge(self):
        return bridge_of(self.network_id)


def bridge_of(network_id):
    """The name of a Neutron network's bridge; the controller's local network driver has the same rule."""
    return "oe" + network_id.replace("-", "")[:11]


def build(instance):
    """Creates what is missing of network, bridge and hosts, and starts the hosts' servers."""
    lab = _network(instance)
    if not _link_exists(lab.bridge):
        run("ip", "link", "add", lab.bridge, "type", "bridge")
    run("ip", "link", "set", lab.bridge, "up")
    for host in HOSTS:
        _plug(host.namespace(instance), (host.address, *host.more, host.address6), lab.bridge)
        if host.serves:
            _serve(instance, host)
    return lab


def _serve(instance, host):
    """Starts a host's server, anew when its program has been built since."""
    arguments = [argument.format(mysql_socket=instance.mysql_socket) for argument in host.serves]
    inside = ["ip", "netns", "exec", host.namespace(instance)]
    process, program = server(instance, host), BINARIES / "lab-member"
    pid = process.pid()
    if pid and not os.path.samefile(f"/proc/{pid}/exe", program):
        process.stop()
    process.start([*inside, program, "-name", host.role, *arguments], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def server(instance, host):
    """The process of a host's server."""
    return Process(host.role, instance.pids, instance.logs / f"{host.role}.log")


def tear_down(instance, networks):
    """Removes hosts, bridges, and every namespace that is plugged into one of the bridges: amphorae, that is."""
    for host in HOSTS:
        server(instance, host).stop()
    bridges = [name for name in map(bridge_of, networks) if _link_exists(name)]
    namespaces = {host.namespace(instance) for host in HOSTS}
    for bridge in bridges:
        namespaces |= plugged(bridge)
    for name in namespaces & set(_namespaces()):
        run("ip", "netns", "delete", name)
    for bridge in bridges:
        run("ip", "link", "delete", bridge)


def plugged(bridge):
    """The names of the namespaces with an interface on a bridge."""
    names = {entry["nsid"]: entry.get("name") for entry in _ip("netns", "list-id")}
    ends = {names.get(port.get("link_netnsid")) for port in _ip("link", "show", "master", bridge)}
    return ends - {None}


def _ip(*words):
    return json.loads(run("ip", "-json", *words) or "[]")


def _network(instance):
    """Network and subnets in Neutron, created if missing."""
    cloud = Cloud(instance)
    networks = cloud.get("network", f"/v2.0/networks?name={NETWORK}")["networks"]
    network = networks[0] if networks else cloud.post("network", "/v2.0/networks", {"network": {
        "name": NETWORK, "router:external": True, "shared": True}})["network"]

    def subnet(name, version, cidr, gateway, pool):
        subnets = cloud.get("network", f"/v2.0/subnets?name={name}")["subnets"]
        made = subnets[0] if subnets else cloud.post("network", "/v2.0/subnets", {"subnet": {
            "name": name, "network_id": network["id"], "ip_version": version, "cidr": cidr, "gateway_ip": gateway,
            "enable_dhcp": False, "allocation_pools": [{"start": pool[0], "end": pool[1]}]}})["subnet"]
        return made["id"]

    return Lab(network["id"], subnet(SUBNET, 4, CIDR, GATEWAY, POOL), subnet(SUBNET6, 6, CIDR6, GATEWAY6, POOL6))


def _plug(namespace, addresses, bridge):
    """A namespace with addresses on a bridge; the bridge's end of the cable has the namespace's name."""
    if namespace not in _namespaces():
        run("ip", "netns", "add", namespace)
    if not _link_exists(namespace):
        run("ip", "link", "add", namespace, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "link", "set", namespace, "master", bridge, "up")
    inside = ("ip", "-netns", namespace)
    for address in map(ipaddress.ip_address, addresses):
        cidr, flags = (CIDR, []) if address.version == 4 else (CIDR6, ["nodad"])  # usable at once
        prefix = ipaddress.ip_network(cidr).prefixlen
        run(*inside, "address", "replace", f"{address}/{prefix}", "dev", "eth0", *flags)
    for interface in ("lo", "eth0"):
        run(*inside, "link", "set", interface, "up")


def _namespaces():
    folder = Path("/run/netns")
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def _link_exists(name):
    return Path("/sys/class/net", name).exists()
