"""The API request that octavia-api serves while it calls the driver, for what it keeps to itself."""

from __future__ import annotations

import json
import sys
from typing import Any


def security_groups() -> dict[str, Any]:
    """Return ``{"vip_sg_ids": …}`` as a PUT of a load balancer has it, {} if it has none.

    Octavia writes them to its database and does not hand them to the provider (octavia/api/v2/controllers/
    load_balancer.py, put), which then could neither enforce nor refuse them.
    """
    asked = _body().get("loadbalancer")
    if isinstance(asked, dict) and "vip_sg_ids" in asked:
        return {"vip_sg_ids": asked["vip_sg_ids"]}
    return {}


def _body() -> dict[str, Any]:
    """Return the body of the current request, {} outside of one or if it is no JSON object."""
    pecan = sys.modules.get("pecan")  # Octavia has imported it, if it runs
    if pecan is None:
        return {}
    try:
        document = json.loads(pecan.request.body)
    except (AttributeError, OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
