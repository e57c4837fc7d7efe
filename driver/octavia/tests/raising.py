"""How to look at an exception."""

import pytest


def raised(call):
    """Return the exception of a call; its type is exact, as Octavia tells them apart by class."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, "Octavia logs a chain as a whole"
    return caught.value
