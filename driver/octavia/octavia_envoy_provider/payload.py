"""From octavia-lib's data models to JSON.

The result is that of ``to_dict(recurse=True, render_unsets=False)``: an attribute that is Unset is missing, None is
null. It is made here, because to_dict passes on whatever it finds inside a list or a dict (models, Unset, bytes), turns
a model inside a model of its own class into None, and cannot leave out an attribute below the top.

A private key may be anywhere in it, so no error has a value in its text, only where the value is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from octavia_lib.api.drivers import data_models

from octavia_envoy_provider import errors

# Octavia fills a listener's default_pool from a stale copy (no members, no health monitor, in a create of a whole load
# balancer). The pool itself is in the load balancer's pools, default_pool_id points at it.
_STALE = "default_pool"


def is_unset(value: Any) -> bool:
    """Tell whether a value is octavia-lib's Unset or that of WSME, which Octavia's API types use."""
    return isinstance(value, data_models.UnsetType) or type(value).__name__ == "UnsetType"


def plain(value: Any, where: str = "") -> Any:
    """Return a value as what JSON knows, and copy it: Octavia goes on using the original.

    :param where: the attribute it comes from, for the error.
    :raises DriverError: a value has no JSON form.
    """
    try:
        return _plain(value, where)
    except RecursionError:
        raise errors.unsendable(where or type(value).__name__, "it contains itself") from None


def _plain(value: Any, where: str, *, listener: bool = False) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, data_models.BaseDataModel):
        attributes = {k: v for k, v in vars(value).items() if not k.startswith("_")}
        return _mapping(attributes, where, listener=isinstance(value, data_models.Listener))
    if isinstance(value, Mapping):
        return _mapping(value, where, listener=listener)
    if isinstance(value, (list, tuple)):
        of_listeners = where == "listeners"
        return [_plain(v, f"{where}[{i}]", listener=of_listeners) for i, v in enumerate(value) if not is_unset(v)]
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise errors.unsendable(where, "its bytes are not UTF-8 text") from None
    raise errors.unsendable(where or "the object", f"a {type(value).__name__} has no JSON form")


def _mapping(items: Mapping[Any, Any], where: str, *, listener: bool) -> dict[str, Any]:
    result = {}
    for key, value in items.items():
        if is_unset(value) or (listener and key == _STALE):
            continue
        if not isinstance(key, str):
            raise errors.unsendable(where or "the object", f"a key is a {type(key).__name__}, not a string")
        result[key] = _plain(value, f"{where}.{key}" if where else key)
    return result


def patch(old: Any, new: Any, *ids: str) -> dict[str, Any]:
    """Return what a PUT changes: the attributes of ``new``, and the ids that only ``old`` has.

    Nothing else of ``old`` is used: Octavia fills it from lazy rows and leaves out what it likes.

    :param ids: the attributes with the object's own id and its parent's.
    :raises DriverError: a value has no JSON form.
    """
    body = plain(new)
    for attribute in ids:
        if not body.get(attribute):
            value = optional_id(old, attribute)
            if value:
                body[attribute] = value
    return body


def optional_id(obj: Any, attribute: str) -> str:
    """Return an id of an object, or "" if it has none."""
    value = getattr(obj, attribute, None)
    return value if isinstance(value, str) else ""


def required_id(attribute: str, *objects: Any) -> str:
    """Return an id of the first of the objects that has it.

    :raises DriverError: none has it, so there is no path to ask for.
    """
    for obj in objects:
        value = optional_id(obj, attribute)
        if value:
            return value
    raise errors.unsendable(attribute, f"the {type(objects[0]).__name__} that Octavia passed has no such id")


def encode(document: Any) -> bytes:
    """Return the JSON text of a document made by :func:`plain`.

    :raises UnsupportedOptionError: a number is NaN or infinite.
    """
    try:
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode("ascii")
    except ValueError:
        raise errors.no_number() from None
