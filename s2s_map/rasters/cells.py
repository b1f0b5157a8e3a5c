"""Cells of one layer in a ``maps.zarr``, read when they are indexed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from s2s_map.errors import OutputError, StoreError
from s2s_map.outputs.path import OutputPath, wrapped, zarr_target


@dataclass(frozen=True)
class StoredCells:
    """One variable of one concept, (time, y, x): holds the path only, so it pickles.

    Attributes:
        path: Folder of the maps.
        variable: ``probability`` or ``similarity``.
        concept: Index of the concept.
        shape: Time slots, rows and columns.
    """

    path: OutputPath
    variable: str
    concept: int
    shape: tuple[int, ...]

    def gdal_name(self, slot: int) -> str:
        """Return what GDAL calls a time slot; of local maps only."""
        return f'ZARR:"{self.path}":/{self.variable}:{self.concept}:{slot}'

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        """Read a part.

        Raises:
            StoreError: For a damaged file.
        """
        parts = key if isinstance(key, tuple) else (key,)
        try:
            # Opened anew: maps are replaced as a whole, and an open one would be the old one.
            with wrapped(self.path):
                store = zarr_target(self.path, read_only=True)
                array = zarr.open_array(store=store, path=self.variable, mode="r")
                return np.asarray(array[(self.concept, *parts)], dtype=np.float32)
        except OutputError:
            raise
        except Exception as error:
            raise damaged(self.path, error) from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it."""
        return np.asarray(self[:], dtype=dtype)


def damaged(path: OutputPath, error: Exception) -> StoreError:
    """Return what to say of maps that cannot be read."""
    return StoreError(
        f"cannot read {path} ({type(error).__name__}: {error})",
        remedy="remove it and query again: the embeddings are kept apart",
    )
