"""Values of an array as they are stored: their bytes, and a name for what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import OutputError, StoreError
from s2s_map.outputs.path import OutputPath, wrapped

EMBEDS_ANEW = "s2s-map verify finds what is damaged; the same run embeds it again"


def value_bytes(values: NDArray[Any]) -> memoryview:
    """Return the bytes of values, little-endian."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).view(np.uint8).data


@contextmanager
def naming_damage(path: OutputPath, part: str, remedy: str = EMBEDS_ANEW) -> Iterator[None]:
    """Name what cannot be read, whichever of zarr's many exceptions says so.

    Raises:
        StoreError: For whatever is damaged.
        OutputError: If an object store cannot be read.
    """
    try:
        with wrapped(path):
            yield
    except (MemoryError, StoreError, OutputError):
        raise
    except Exception as error:
        raise StoreError(
            f"cannot read {part} of {path} ({type(error).__name__}: {error})", remedy=remedy
        ) from error
