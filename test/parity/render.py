"""Renders load balancers as Octavia's amphora driver does, with Octavia's own templates.

Run by the Python of the virtual environment that has Octavia (`cloud prepare --tests` makes it). Reads load balancers
from stdin, one provider dictionary as JSON a line, and answers each with one line of JSON: {"config": text} or
{"error": text}.
"""

import json
import sys

from octavia.common import config, constants
from octavia.common.jinja.haproxy.combined_listeners import jinja_cfg
from octavia.db import models

HAPROXY_VERSION = ("2", "6", "12")  # of Debian 12; the template asks only whether it is at least 2.2
STATUS = {"provisioning_status": constants.ACTIVE, "operating_status": constants.ONLINE}


def member(source):
    return models.Member(
        id=source["member_id"], ip_address=source["address"], protocol_port=source["protocol_port"],
        weight=source["weight"], backup=source["backup"], enabled=source["admin_state_up"],
        monitor_address=source.get("monitor_address") or None, monitor_port=source.get("monitor_port") or None,
        **STATUS)


def health_monitor(source):
    return models.HealthMonitor(
        id=source["healthmonitor_id"], type=source["type"], delay=source["delay"], timeout=source["timeout"],
        fall_threshold=source["max_retries_down"], rise_threshold=source["max_retries"],
        http_method=source.get("http_method") or None, url_path=source.get("url_path") or None,
        expected_codes=source.get("expected_codes") or None, http_version=source.get("http_version") or None,
        domain_name=source.get("domain_name") or None, enabled=source["admin_state_up"], **STATUS)


def tls_parameters(source):
    return {name: source.get(name) or None for name in ("tls_versions", "tls_ciphers", "alpn_protocols")}


def pool(source):
    persistence = source.get("session_persistence")
    monitor = source.get("healthmonitor")
    return models.Pool(
        id=source["pool_id"], protocol=source["protocol"], lb_algorithm=source["lb_algorithm"],
        enabled=source["admin_state_up"], tls_enabled=source["tls_enabled"],
        tls_certificate_id=source.get("tls_container_ref") or None,
        ca_tls_certificate_id=source.get("ca_tls_container_ref") or None,
        crl_container_id=source.get("crl_container_ref") or None, **tls_parameters(source),
        members=[member(each) for each in source.get("members") or []],
        health_monitor=health_monitor(monitor) if monitor else None,
        session_persistence=models.SessionPersistence(
            pool_id=source["pool_id"], type=persistence["type"],
            cookie_name=persistence.get("cookie_name") or None) if persistence else None,
        **STATUS)


def policy(source, pools):
    return models.L7Policy(
        id=source["l7policy_id"], action=source["action"], position=source["position"],
        enabled=source["admin_state_up"],
        redirect_pool=pools.get(source.get("redirect_pool_id")), redirect_url=source.get("redirect_url") or None,
        redirect_prefix=source.get("redirect_prefix") or None,
        redirect_http_code=source.get("redirect_http_code") or None,
        l7rules=[
            models.L7Rule(
                id=rule["l7rule_id"], type=rule["type"], compare_type=rule["compare_type"], key=rule.get("key") or None,
                value=rule["value"], invert=rule["invert"], enabled=rule["admin_state_up"], **STATUS)
            for rule in source.get("rules") or []],
        **STATUS)


def listener(source, pools):
    policies = sorted(source.get("l7policies") or [], key=lambda each: each["position"])
    return models.Listener(
        id=source["listener_id"], protocol=source["protocol"], protocol_port=source["protocol_port"],
        connection_limit=source["connection_limit"], enabled=source["admin_state_up"], peer_port=1025,
        default_pool=pools.get(source.get("default_pool_id")), insert_headers=source.get("insert_headers") or {},
        timeout_client_data=source["timeout_client_data"], timeout_member_connect=source["timeout_member_connect"],
        timeout_member_data=source["timeout_member_data"], timeout_tcp_inspect=source["timeout_tcp_inspect"],
        tls_certificate_id=source.get("default_tls_container_ref") or None,
        client_ca_tls_certificate_id=source.get("client_ca_tls_container_ref") or None,
        client_crl_container_id=source.get("client_crl_container_ref") or None,
        client_authentication=source.get("client_authentication") or constants.CLIENT_AUTH_NONE,
        hsts_max_age=source.get("hsts_max_age"), hsts_include_subdomains=source["hsts_include_subdomains"],
        hsts_preload=source["hsts_preload"], **tls_parameters(source),
        l7policies=[policy(each, pools) for each in policies], **STATUS)


def certificates(source):
    """What the amphora driver knows of the files that it has put into an amphora: here a file has the name of its reference."""
    def path(name):
        return f"{jinja_cfg.BASE_CRT_DIR}/{source['loadbalancer_id']}/{name}.pem"

    known = {}
    for each in source["listeners"]:
        for field in ("client_ca_tls_container_ref", "client_crl_container_ref"):
            if each.get(field):
                known[each[field]] = f"{each[field]}.pem"
    for each in source.get("pools") or []:
        files = {"client_cert": "tls_container_ref", "ca_cert": "ca_tls_container_ref", "crl": "crl_container_ref"}
        known[each["pool_id"]] = {name: path(each[field]) for name, field in files.items() if each.get(field)}
    return known


def render(source):
    pools = {each["pool_id"]: pool(each) for each in source.get("pools") or []}
    listeners = [listener(each, pools) for each in source["listeners"]]
    amphora = models.Amphora(
        id=source["loadbalancer_id"], status=constants.AMPHORA_ALLOCATED, role=constants.ROLE_STANDALONE)
    models.LoadBalancer(
        id=source["loadbalancer_id"], project_id="parity", enabled=source["admin_state_up"],
        topology=constants.TOPOLOGY_SINGLE, amphorae=[amphora], vip=models.Vip(ip_address=source["vip_address"]),
        additional_vips=[
            models.AdditionalVip(ip_address=each["ip_address"]) for each in source.get("additional_vips") or []],
        listeners=listeners, pools=list(pools.values()), **STATUS)
    return jinja_cfg.JinjaTemplater().build_config(
        host_amphora=amphora, listeners=listeners, tls_certs=certificates(source), haproxy_versions=HAPROXY_VERSION,
        amp_details=None)


def main():
    config.init([])
    for line in sys.stdin:
        try:
            answer = {"config": render(json.loads(line))}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
