"""Waiting for a server no longer than the run wants its imagery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event


class ReadStoppedError(Exception):
    """Unwinds a read that is no longer wanted."""


_STOP: ContextVar[Event | None] = ContextVar("s2s_map_stop", default=None)


@contextmanager
def stoppable(stop: Event) -> Iterator[None]:
    """Have reads of this thread end where they wait for a server, once an event is set.

    Raises:
        ReadStoppedError: From the read.
    """
    token = _STOP.set(stop)
    try:
        yield
    finally:
        _STOP.reset(token)


def stop_event() -> Event:
    """Return the event that stops what this thread reads; one that is never set if there is none.

    A read that has threads of its own hands it on to them.
    """
    return _STOP.get() or Event()


def pause(stop: Event, seconds: float) -> None:
    """Wait, unless stopped.

    Raises:
        ReadStoppedError: If the event is set by then.
    """
    if stop.wait(seconds):
        raise ReadStoppedError
