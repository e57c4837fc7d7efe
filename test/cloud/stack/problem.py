"""The one exception that `cloud` shows without a traceback."""


class Problem(Exception):
    """Something is missing or went wrong; the text says what, and what to do."""
