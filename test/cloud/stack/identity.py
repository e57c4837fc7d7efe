"""Keystone's content: service users, roles, the catalogue."""

from .rest import Cloud
from .shell import run

CATALOGUE = {"barbican": "key-manager", "neutron": "network", "octavia": "load-balancer"}
# Roles that the services' default policies ask for.
ROLES = ("service", "creator", "observer", "load-balancer_admin", "load-balancer_member", "load-balancer_observer",
         "load-balancer_global_observer", "load-balancer_quota_admin")
ADMIN_ROLES = ("load-balancer_admin", "creator")
SERVICE_ROLES = ("admin", "service", "load-balancer_admin", "creator")


def bootstrap(services):
    """Creates the admin, its project and Keystone's own endpoints. Needs the database, not Keystone itself."""
    instance = services.instance
    run(services.venv / "bin/keystone-manage", "--config-file", instance.etc / "keystone/keystone.conf", "bootstrap",
        "--bootstrap-password", instance.password("admin"), "--bootstrap-region-id", "RegionOne",
        *(word for interface in ("public", "internal", "admin")
          for word in (f"--bootstrap-{interface}-url", instance.auth_url)),
        env=services.environment(), log=instance.logs / "keystone-bootstrap.log")


def fill(instance):
    """Creates what is missing of users, roles and endpoints."""
    cloud = Cloud(instance)
    project = _ensure(cloud, "projects", "project", name="service", domain_id="default")
    roles = {role["name"]: role["id"] for role in cloud.get("identity", "/roles")["roles"]}
    for name in ROLES:
        roles[name] = roles.get(name) or _ensure(cloud, "roles", "role", name=name)["id"]

    for name, kind in CATALOGUE.items():
        user = _ensure(cloud, "users", "user", name=name, domain_id="default", password=instance.password(name),
                       default_project_id=project["id"])
        for role in SERVICE_ROLES:
            _assign(cloud, project, user, roles[role])
        service = _ensure(cloud, "services", "service", name=name, type=kind)
        there = cloud.get("identity", f"/endpoints?service_id={service['id']}")["endpoints"]
        for interface in {"public", "internal", "admin"} - {endpoint["interface"] for endpoint in there}:
            endpoint = {"service_id": service["id"], "interface": interface, "url": instance.url(name)}
            cloud.post("identity", "/endpoints", {"endpoint": endpoint | {"region_id": "RegionOne"}})

    admin = cloud.get("identity", "/users?name=admin")["users"][0]
    admin_project = cloud.get("identity", "/projects?name=admin")["projects"][0]
    for role in ADMIN_ROLES:
        _assign(cloud, admin_project, admin, roles[role])


def _ensure(cloud, collection, kind, **attributes):
    found = cloud.get("identity", f"/{collection}?name={attributes['name']}")[collection]
    return found[0] if found else cloud.post("identity", f"/{collection}", {kind: attributes})[kind]


def _assign(cloud, project, user, role):
    cloud.put("identity", f"/projects/{project['id']}/users/{user['id']}/roles/{role}")
