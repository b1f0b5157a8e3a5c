"""The embeddings of a run by level: the cells themselves, and means of 2 x 2, 4 x 4 and so on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from s2s_map.embeddings.sealed import SealedEmbeddings


class Level(Protocol):
    """Cells of one size; their vectors are means of the vectors of the finest cells in them."""

    @property
    def factor(self) -> int:
        """Finest cells per side of a cell."""

    @property
    def geobox(self) -> GeoBox:
        """Shape, transform and CRS."""

    def read(
        self, rows: slice, columns: slice, slot: int = 0
    ) -> tuple[NDArray[np.float16], NDArray[np.uint32]]:
        """Return vectors (h, w, dim) and how many finest cells each stands for, 0 for none."""


@dataclass(frozen=True, eq=False)
class Finest:
    """The cells themselves.

    Attributes:
        store: The embeddings.
    """

    store: SealedEmbeddings

    @property
    def factor(self) -> int:
        """One cell a side."""
        return 1

    @property
    def geobox(self) -> GeoBox:
        """Shape, transform and CRS."""
        return self.store.grid.geobox

    def read(
        self, rows: slice, columns: slice, slot: int = 0
    ) -> tuple[NDArray[Any], NDArray[np.uint32]]:
        """Return vectors (h, w, dim) as stored, and 1 where there is one.

        Raises:
            DamagedBlocksError: If they are not what was recorded.
        """
        values = self.store.read_cells(slot, rows, columns)
        return values, np.isfinite(values[..., 0]).astype(np.uint32)


def levels_of(store: SealedEmbeddings) -> list[Level]:
    """Return the levels of embeddings, the finest first; those without overviews have one."""
    return [Finest(store)]
