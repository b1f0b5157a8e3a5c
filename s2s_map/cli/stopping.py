"""What stopping means to verbs that go on where they were stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from s2s_map.errors import InterruptedRunError


@contextmanager
def resumable(what: str) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into exit code 4 and one line.

    Args:
        what: What was stopped.

    Raises:
        InterruptedRunError: Instead of KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"{what} was stopped", remedy="start the same command again to go on"
        ) from None
