"""One line a step, with the time since the start and what the step took."""

import sys
import time
from contextlib import contextmanager


class Progress:
    """Prints steps as they begin and end; a quiet one prints nothing."""

    def __init__(self, quiet=False):
        self.quiet = quiet
        self.started = time.monotonic()

    def elapsed(self):
        """Seconds since the first step."""
        return time.monotonic() - self.started

    def say(self, text):
        if not self.quiet:
            print(f"[{self.elapsed():4.0f} s] {text}", flush=True)

    @contextmanager
    def step(self, text):
        """Announces what is about to happen, then says how long it took."""
        if self.quiet:
            yield
            return
        print(f"[{self.elapsed():4.0f} s] {text} … ", end="", flush=True)
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            print("failed", flush=True)
            raise
        print(f"{time.monotonic() - begin:.1f} s", flush=True)
        sys.stdout.flush()
