"""How worker processes keep the memory of arrays that they have freed."""

from __future__ import annotations

import ctypes
import os

_DASKS = "65536"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MAPPED = 32 << 20


def reuse_freed_memory() -> bool:
    """Let the C library reuse the memory of freed arrays, as it does where nothing is set.

    Dask's nannies start workers with MALLOC_TRIM_THRESHOLD_=65536: each array of more than 128 kB
    is then mapped again and its pages are zeroed again, which took four fifths of the time to read
    and resample a block. These are the values that glibc arrives at by itself (mallopt(3)).

    Returns:
        Whether anything was changed: not where somebody chose another value, nor without glibc.
    """
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") != _DASKS:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MAPPED)
        and mallopt(_M_TRIM_THRESHOLD, 2 * _LARGEST_MAPPED)
    )
