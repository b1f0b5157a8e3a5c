"""What was read or computed, kept up to a number of bytes; two that ask at once compute once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock

import numpy as np
from numpy.typing import NDArray

type Arrays = tuple[NDArray[np.generic], ...]


class BoundedCache:
    """Arrays by key, the longest unused dropped first.

    Args:
        most_bytes: Bytes of the arrays that are kept at most. What is being made is not counted.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Arrays] = OrderedDict()
        self._making: dict[Hashable, Future[Arrays]] = {}
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of all arrays that are kept."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], Arrays]) -> Arrays:
        """Return what is kept under a key, made now if it is not.

        Args:
            key: Its name.
            make: Called by the first of those who ask at the same time; the others wait for it,
                and share what it raises.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            pending = self._making.get(key)
            if pending is None:
                mine = self._making[key] = Future[Arrays]()
        if pending is not None:
            return pending.result()
        try:
            made = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, made)
        mine.set_result(made)
        return made

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _keep(self, key: Hashable, made: Arrays) -> None:
        size = _size(made)
        if size > self._most:
            return
        self._kept[key] = made
        self._bytes += size
        while self._bytes > self._most:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays)
