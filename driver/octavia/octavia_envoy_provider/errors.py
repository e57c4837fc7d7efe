"""From the controller's errors, and from its silence, to octavia-lib's exceptions.

Octavia shows ``user_fault_string`` to the caller of its API and logs ``operator_fault_string``. Nothing internal, such
as a path, an address or the text of an exception, goes into the former; no private key goes into either.
"""

from __future__ import annotations

import re
from typing import Any

from octavia_lib.api.drivers import exceptions as lib_exceptions

UNREACHABLE = "The load balancing controller cannot be reached, so nothing was changed. Please try again later."
MISCONFIGURED = (
    "The load balancing provider is not configured correctly, so nothing was changed. Please contact the administrator."
)
UNSENDABLE = "The load balancing provider cannot handle this request. Please contact the administrator."

_EXCEPTIONS = {
    "unsupported_option": lib_exceptions.UnsupportedOptionError,
    # What is wrong with the request is the user's to repair, and this is octavia-lib's only exception that says so: of
    # all others, but that about a VIP's address, Octavia makes a server error.
    "invalid": lib_exceptions.UnsupportedOptionError,
    "too_large": lib_exceptions.UnsupportedOptionError,
    "not_implemented": lib_exceptions.NotImplementedError,
    # octavia-lib has Conflict since 3.9.0, Octavia answers 409 for it since then.
    "conflict": getattr(lib_exceptions, "Conflict", lib_exceptions.DriverError),
    "not_found": lib_exceptions.NotFound,
}

# Of all others the operator is told status, code and field.
_SAID_BY_THE_CLASS = frozenset({"unsupported_option", "not_implemented", "conflict", "not_found"})

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_LONGEST_TEXT = 4096  # characters


def bad_option(name: str, why: str) -> lib_exceptions.DriverError:
    """Return the error for an option of octavia.conf that is missing or wrong."""
    return lib_exceptions.DriverError(
        user_fault_string=MISCONFIGURED,
        operator_fault_string=f"octavia.conf: option {name} in [envoy_provider]: {why}",
    )


def unreachable(url: str, option: str, cause: str) -> lib_exceptions.DriverError:
    """Return the error for a controller that does not answer, or not in the way that a controller answers.

    :param url: option controller_url.
    :param option: the option to look at first.
    :param cause: what happened, in the words of the system or of this package.
    """
    return lib_exceptions.DriverError(
        user_fault_string=UNREACHABLE,
        operator_fault_string=_clean(
            f"The octavia-envoy controller at {url} cannot be reached: {cause} "
            f"(octavia.conf: option {option} in [envoy_provider])"
        ),
    )


def no_number() -> lib_exceptions.UnsupportedOptionError:
    """Return the error for a number that JSON does not have: Octavia's parser takes NaN and Infinity from its users."""
    text = "A number must not be NaN or infinite."
    return lib_exceptions.UnsupportedOptionError(user_fault_string=text, operator_fault_string=text)


def unsendable(where: str, why: str) -> lib_exceptions.DriverError:
    """Return the error for a value of Octavia's that has no JSON form. The value itself is never part of it."""
    return lib_exceptions.DriverError(
        user_fault_string=UNSENDABLE,
        operator_fault_string=f"octavia-envoy-provider cannot send {where}: {why}",
    )


def from_answer(what: str, status: int, document: Any) -> Exception | None:
    """Return the exception for an error that the controller answered.

    :param what: method and path of the request, for the operator.
    :param status: the HTTP status.
    :param document: the decoded body.
    :returns: None if the body is not ``{"error": {"code", "message", …}}``: whoever answered, it was no controller.
    """
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return None
    code, message = error.get("code"), error.get("message")
    if not isinstance(code, str) or not isinstance(message, str) or not message:
        return None
    detail, field = error.get("detail"), error.get("field")
    operator = detail if isinstance(detail, str) and detail else message

    exception = _EXCEPTIONS.get(code, lib_exceptions.DriverError)
    if code not in _SAID_BY_THE_CLASS:
        at = f" at {field}" if isinstance(field, str) and field else ""
        operator = f"the octavia-envoy controller answered {what} with {status} {code}{at}: {operator}"
    return exception(user_fault_string=_clean(message), operator_fault_string=_clean(operator))


def _clean(text: str) -> str:
    """Return the text without private keys, which something on the way may have echoed, and not endless."""
    return _PRIVATE_KEY.sub("[private key removed]", text)[:_LONGEST_TEXT]
