"""A small client of OpenStack's REST APIs: a token, the catalogue, and JSON."""

import json
import urllib.error
import urllib.request

from .problem import Problem


class Cloud:
    """The admin's view of an instance. A service is named by its type in the catalogue: ("network", "/v2.0/ports")."""

    def __init__(self, instance):
        self.instance = instance
        body = {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": "admin", "domain": {"id": "default"}, "password": instance.password("admin")}}},
            "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}}
        headers, answer = self._call("POST", instance.auth_url + "/auth/tokens", body, {})
        self.token = headers["X-Subject-Token"]
        self.endpoints = {
            service["type"]: endpoint["url"].rstrip("/")
            for service in answer["token"]["catalog"] for endpoint in service["endpoints"]
            if endpoint["interface"] == "public"
        }

    def get(self, service, path):
        return self._request("GET", service, path)

    def post(self, service, path, body):
        return self._request("POST", service, path, body)

    def put(self, service, path, body=None):
        return self._request("PUT", service, path, body)

    def _request(self, method, service, path, body=None):
        url = self.instance.auth_url if service == "identity" else self.endpoints[service]
        return self._call(method, url + path, body, {"X-Auth-Token": self.token})[1]

    @staticmethod
    def _call(method, url, body, headers):
        request = urllib.request.Request(url, method=method, headers=headers | {"Content-Type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        # No proxy: everything is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                text = answer.read()
                return answer.headers, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise Problem(f"{method} {url} answered {error.code}: {text[:500]}") from None
        except OSError as error:
            raise Problem(f"{method} {url}: {error}") from None
