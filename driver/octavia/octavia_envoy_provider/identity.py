"""Who is behind a provider call, for the controller's audit trail and for following a request through the logs."""

from __future__ import annotations

import sys
from typing import Any

from oslo_context import context

_HEADERS = {
    "X-Openstack-Request-Id": ("openstack.request_id", "request_id"),
    "X-Project-Id": ("HTTP_X_PROJECT_ID", "project_id"),
    "X-User-Id": ("HTTP_X_USER_ID", "user_id"),
}


def headers(project_id: Any = None) -> dict[str, str]:
    """Return the headers that name request, project and user, as far as they are known.

    The WSGI environment of the request that Octavia serves comes first, oslo.context second. Octavia's own subclass of
    RequestContext drops the user's id (octavia/common/context.py), and fetching a certificate for a listener or pool
    makes a new context current, with a new request id, just before the driver is called
    (octavia/common/tls_utils/cert_parser.py:load_certificates_data, octavia/api/drivers/utils.py:_get_secret_data).

    :param project_id: the object's project, used if the request has none.
    """
    environ = _environ()
    current = context.get_current()
    found = {}
    for header, (variable, attribute) in _HEADERS.items():
        value = environ.get(variable) or getattr(current, attribute, None)
        if not value and header == "X-Project-Id":
            value = project_id
        # Anything else would not survive the trip, or would end the header.
        if isinstance(value, str) and value.isascii() and value.isprintable() and value:
            found[header] = value
    return found


def _environ() -> dict[str, Any]:
    """Return the WSGI environment of the current request, {} outside of one. Octavia has imported pecan, if it runs."""
    pecan = sys.modules.get("pecan")
    if pecan is None:
        return {}
    try:
        return pecan.request.environ
    except AttributeError:
        return {}
