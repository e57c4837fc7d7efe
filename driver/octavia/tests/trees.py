"""Octavia's objects, made with octavia-lib's own models as octavia-api makes them."""

from octavia_lib.api.drivers import data_models as dm

PEM_KEY = "-----BEGIN RSA PRIVATE KEY-----\nMARKED-SECRET-5e1f\n-----END RSA PRIVATE KEY-----\n"


def tls_container():
    return {
        "id": "d39f",
        "primary_cn": None,
        "certificate": "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
        "private_key": PEM_KEY,
        "passphrase": None,
        "intermediates": [],
    }


def member(**values):
    return dm.Member(
        **{
            "address": "192.0.2.10",
            "admin_state_up": True,
            "backup": False,
            "member_id": "m-1",
            "monitor_address": None,
            "monitor_port": None,
            "name": "",
            "pool_id": "p-1",
            "project_id": "proj-1",
            "protocol_port": 80,
            "subnet_id": None,
            "weight": 1,
            **values,
        }
    )


def healthmonitor(**values):
    return dm.HealthMonitor(
        **{
            "admin_state_up": True,
            "delay": 5,
            "expected_codes": "200",
            "healthmonitor_id": "hm-1",
            "http_method": "GET",
            "http_version": None,
            "max_retries": 3,
            "max_retries_down": 3,
            "name": "",
            "pool_id": "p-1",
            "project_id": "proj-1",
            "timeout": 5,
            "type": "HTTP",
            "url_path": "/",
            **values,
        }
    )


def pool(**values):
    return dm.Pool(
        **{
            "admin_state_up": True,
            "description": "",
            "healthmonitor": healthmonitor(),
            "lb_algorithm": "ROUND_ROBIN",
            "loadbalancer_id": "lb-1",
            "members": [member(), member(member_id="m-2", address="192.0.2.11")],
            "name": "pool",
            "pool_id": "p-1",
            "project_id": "proj-1",
            "protocol": "HTTP",
            "session_persistence": {"type": "SOURCE_IP", "cookie_name": None},
            "tls_enabled": False,
            **values,
        }
    )


def l7rule(**values):
    return dm.L7Rule(
        **{
            "admin_state_up": True,
            "compare_type": "EQUAL_TO",
            "invert": False,
            "key": None,
            "l7policy_id": "pol-1",
            "l7rule_id": "r-1",
            "project_id": "proj-1",
            "type": "PATH",
            "value": "/x",
            **values,
        }
    )


def l7policy(**values):
    return dm.L7Policy(
        **{
            "action": "REDIRECT_TO_POOL",
            "admin_state_up": True,
            "description": None,
            "l7policy_id": "pol-1",
            "listener_id": "li-1",
            "name": "",
            "position": 1,
            "project_id": "proj-1",
            "redirect_pool_id": "p-1",
            "rules": [l7rule()],
            **values,
        }
    )


def listener(**values):
    return dm.Listener(
        **{
            "admin_state_up": True,
            "allowed_cidrs": ["192.0.2.0/24"],
            "connection_limit": -1,
            "default_pool": pool(members=[], healthmonitor=None),
            "default_pool_id": "p-1",
            "default_tls_container_data": tls_container(),
            "default_tls_container_ref": "http://barbican/1",
            "insert_headers": {"X-Forwarded-For": "true"},
            "l7policies": [l7policy()],
            "listener_id": "li-1",
            "loadbalancer_id": "lb-1",
            "name": "https",
            "project_id": "proj-1",
            "protocol": "TERMINATED_HTTPS",
            "protocol_port": 443,
            "timeout_client_data": 50000,
            **values,
        }
    )


def loadbalancer(**values):
    return dm.LoadBalancer(
        **{
            "additional_vips": [{"ip_address": "2001:db8::5", "port_id": "port-1", "subnet_id": "sub-6"}],
            "admin_state_up": True,
            "availability_zone": {},
            "description": "",
            "flavor": {"default_pool": "kept, it is a key of the flavor"},
            "listeners": [listener()],
            "loadbalancer_id": "lb-1",
            "name": "lb",
            "pools": [pool()],
            "project_id": "proj-1",
            "vip_address": "192.0.2.5",
            "vip_network_id": "net-1",
            "vip_port_id": "port-1",
            "vip_qos_policy_id": None,
            **({"vip_sg_ids": []} if hasattr(dm.LoadBalancer(), "vip_sg_ids") else {}),  # since octavia-lib 3.7.0
            "vip_subnet_id": "sub-1",
            **values,
        }
    )
