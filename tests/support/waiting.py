"""Waiting for an event, with a deadline and a text for the day it does not come."""

import time

DEADLINE_S = 15.0
"""How long anything here may take. Generous: a loaded CI machine is slow, and a passing test never waits for it."""

POLL_S = 0.02


def eventually(condition, what, deadline_s=DEADLINE_S):
    """Returns the first true value of `condition()`."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise AssertionError(f"did not happen within {deadline_s} s: {text}")
        time.sleep(POLL_S)
