"""Writes every configuration file of an instance from the templates beside this package."""

import base64
import os
import secrets
from string import Template

from .build import BINARIES
from .instance import CLOUD, HOST, PORTS
from .lab import HOSTS

SERVICES_CONF = {
    "keystone.conf": "keystone/keystone.conf",
    "barbican.conf": "barbican/barbican.conf",
    "neutron.conf": "neutron/neutron.conf",
    "ml2_conf.ini": "neutron/ml2_conf.ini",
    "octavia.conf": "octavia/octavia.conf",
}
USERS = ("admin", "barbican", "neutron", "octavia")


def services(instance, venv, providers):
    """Keystone, Barbican, Neutron and Octavia; needs nothing of this project's own."""
    for folder in (instance.etc, instance.logs, instance.pids, instance.state / "neutron" / "lock"):
        folder.mkdir(parents=True, exist_ok=True)
    instance.etc.chmod(0o700)  # passwords
    for user in USERS:
        _once(instance.etc / f"{user}.password", lambda: secrets.token_hex(18))  # no "-" first: a program would take it for an option
    _once(instance.etc / "barbican.kek", lambda: base64.b64encode(secrets.token_bytes(32)).decode())
    for repository in ("fernet-keys", "credential-keys"):
        _key_repository(instance.state / repository)

    values = _values(instance) | {"providers": providers, "default_provider": providers.partition(":")[0]}
    for template, path in SERVICES_CONF.items():
        _render(template, instance.etc / path, values)
    _render("openrc", instance.state / "openrc", values | {"venv": venv, "build": BINARIES})

    # Files of the packages themselves. Barbican's names its other files by where a distribution would have put them.
    paste = (venv / "etc/barbican/barbican-api-paste.ini").read_text()
    paste = paste.replace("/etc/barbican", f"{instance.etc}/barbican")
    (instance.etc / "barbican/barbican-api-paste.ini").write_text(paste)
    (instance.etc / "neutron/api-paste.ini").write_text((venv / "etc/neutron/api-paste.ini").read_text())
    # Barbican looks for barbican.conf in ~/.barbican, and nowhere that an option could set.
    home = instance.etc / "home"
    home.mkdir(exist_ok=True)
    if not (home / ".barbican").is_symlink():
        (home / ".barbican").symlink_to(instance.etc / "barbican")


def controller(instance, envoy):
    """Our own controller."""
    values = _values(instance) | {"envoy": envoy, "agent": BINARIES / "amphora-agent"}
    _render("octavia-envoy.yaml", instance.controller_config, values)


def environment(instance, venv, envoy, cloud, lab):
    """Writes and returns <state>/env: KEY=VALUE lines with all that a program needs to find its way here."""
    path = instance.state / "env"
    values = {
        "OE_ENV": path,
        "OE_INSTANCE": instance.name,
        "OE_STATE": instance.state,
        "OE_RUN": instance.run,
        "OE_LOGS": instance.logs,
        "OE_PIDS": instance.pids,
        "OE_CLOUD": cloud,
        "OE_BINARY": BINARIES / "octavia-envoy",
        "OE_AGENT_BINARY": BINARIES / "amphora-agent",
        "OE_CONFIG": instance.controller_config,
        "OE_API_SOCKET": instance.api_socket,
        "OE_XDS_SOCKET": instance.run / "xds.sock",
        "OE_STORE": instance.state / "octavia-envoy.db",
        "OE_CA": instance.state / "ca",
        "OE_AMPHORAE": instance.state / "amphorae",
        "OE_AMPHORAE_RUN": instance.run / "amphorae",
        "OE_STATUS_SOCKET": instance.run / "octavia-status.sock",
        "OE_GET_SOCKET": instance.run / "octavia-get.sock",
        "OE_MYSQL_SOCKET": instance.mysql_socket,
        "OE_NETWORK_ID": lab.network_id,
        "OE_SUBNET_ID": lab.subnet_id,
        "OE_SUBNET6_ID": lab.subnet6_id,
        "OE_BRIDGE": lab.bridge,
        "OPENSTACK": venv / "bin" / "openstack",
        "ENVOY_PATH": envoy,
    }
    for service in PORTS:
        values[f"OE_{service.upper()}_PORT"] = instance.port(service)
        values[f"OE_{service.upper()}_URL"] = instance.url(service)
    values["OE_XDS_URL"] = f"{HOST}:{instance.port('xds')}"
    for host in HOSTS:
        values[f"OE_{host.role.upper()}_NETNS"] = host.namespace(instance)
        values[f"OE_{host.role.upper()}_ADDRESS"] = host.address
        values[f"OE_{host.role.upper()}_ADDRESS6"] = host.address6
        values[f"OE_{host.role.upper()}_ADDRESSES"] = ",".join((host.address, *host.more))
    values |= {
        "OS_AUTH_URL": instance.auth_url, "OS_IDENTITY_API_VERSION": "3", "OS_REGION_NAME": "RegionOne",
        "OS_USERNAME": "admin", "OS_PASSWORD": instance.password("admin"), "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
    }
    values = {key: str(value) for key, value in values.items()}
    _write(path, "".join(f"{key}={value}\n" for key, value in values.items()))
    return values


def _values(instance):
    passwords = {f"{user}_password": instance.password(user) for user in USERS}
    urls = {f"{service}_url": instance.url(service) for service in PORTS}
    authtoken = Template((CLOUD / "templates" / "authtoken").read_text()).substitute(auth_url=instance.auth_url)
    ports = {f"{service}_port": instance.port(service) for service in PORTS}
    return passwords | urls | ports | {
        "host": HOST, "state": instance.state, "run": instance.run, "etc": instance.etc,
        "kek": (instance.etc / "barbican.kek").read_text().strip(),
        "database": "mysql+pymysql://root@localhost",
        "database_options": f"unix_socket={instance.mysql_socket}&charset=utf8mb4",
        "authtoken": authtoken.strip(),
    }


def _render(template, path, values):
    text = Template((CLOUD / "templates" / template).read_text()).substitute(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, text)


def _write(path, text):
    """Writes a file that only root may read: most of them hold passwords."""
    with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600), encoding="utf-8") as file:
        file.write(text)


def _once(path, make):
    if not path.exists():
        _write(path, make())


def _key_repository(folder):
    """What `keystone-manage fernet_setup` and `credential_setup` write: a staged key 0 and a primary key 1."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in ("0", "1"):
        _once(folder / number, lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
