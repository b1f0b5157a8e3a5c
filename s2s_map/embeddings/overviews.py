"""Overviews of embeddings: the same map with cells that are twice, four times ... as large.

An embedding of a cell is a weighted mean of unit vectors and is not renormalised, so that the mean
of some cells answers a question by the mean of their similarities. A cell of an overview is the
mean over the valid finest cells below it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from s2s_map.embeddings.opening import open_embeddings, open_ledger
from s2s_map.embeddings.overview_arrays import levels_of
from s2s_map.embeddings.overview_layout import level_geobox
from s2s_map.embeddings.overview_means import Cells, finest_cells
from s2s_map.embeddings.overview_schema import overviews_group
from s2s_map.embeddings.overview_sealed import SealedLevel
from s2s_map.embeddings.overview_state import whole_levels
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.outputs.output import Output, open_output
from s2s_map.outputs.overview_seals import read_seals
from s2s_map.outputs.path import ObjectPath


class CellReader(Protocol):
    """What reads the cells of a level."""

    def cells(self, slot: int, y: slice, x: slice) -> Cells:
        """Return vectors and counts of one time slot."""


@dataclass(frozen=True, eq=False)
class FinestReader:
    """Reads the cells of the embeddings themselves.

    Attributes:
        store: The embeddings.
    """

    store: SealedEmbeddings

    def cells(self, slot: int, y: slice, x: slice) -> Cells:
        """Return vectors and counts, 1 or 0, of one time slot."""
        return finest_cells(self.store.read_cells(slot, y, x))


@dataclass(frozen=True, eq=False)
class Level:
    """A map of embeddings at one resolution.

    Attributes:
        factor: Finest cells per side of a cell: 1, 2, 4, ...
        geobox: Its grid; cells at the south and east edges may reach beyond the map.
        reader: What reads its cells.
    """

    factor: int
    geobox: GeoBox
    reader: CellReader = field(repr=False)

    def read(
        self, rows: slice, columns: slice, slot: int = 0
    ) -> tuple[NDArray[np.float16], NDArray[np.uint32]]:
        """Return some cells; only the shards that they touch are read, each compared once.

        Args:
            rows: Rows of cells, within the grid, of step 1.
            columns: Columns of cells.
            slot: Index of the time slot.

        Returns:
            Vectors, shape (rows, columns, dim), not renormalised, and how many valid finest cells
            each is the mean of; 0 where there are none.

        Raises:
            IndexError: For cells beyond the grid.
            DamagedBlocksError: For blocks that are not what was recorded.
            DamagedOverviewError: For shards of an overview that are not.
            OutputError: If an object store cannot be read.
        """
        y, x = (
            _checked(part, size)
            for part, size in zip((rows, columns), self.geobox.shape, strict=True)
        )
        vectors, counts = self.reader.cells(slot, y, x)
        found = vectors.astype(np.float16, copy=False)
        found[counts == 0] = 0.0
        return found, counts


def open_levels(
    output_or_store: str | os.PathLike[str] | ObjectPath | Output | EmbeddingsStore,
) -> list[Level]:
    """Open the embeddings of an output at all resolutions that it has, finest first.

    Args:
        output_or_store: A folder, ``s3://bucket/prefix``, an output, or its embeddings.

    Returns:
        The finest level, which is the embeddings themselves, and the overviews that are made from
        what is there now: none for outputs without them. What is written later is not seen: open
        them again.

    Raises:
        StoreError: If there are no embeddings, or their metadata are damaged.
        OutputError: If an object store cannot be read.

    Examples:
        >>> coarsest = open_levels("out/demo")[-1]  # doctest: +SKIP
        >>> vectors, counts = coarsest.read(slice(0, 64), slice(0, 64))  # doctest: +SKIP
    """
    if isinstance(output_or_store, EmbeddingsStore):
        home = output_or_store.path.parent
    else:
        home = open_output(output_or_store).finished_home()
    state = open_ledger(home).state()
    store = open_embeddings(home, state)
    levels = levels_of(store)
    recorded = read_seals(overviews_group(store)) if levels else {}
    whole = whole_levels(levels, store.grid, state, recorded)
    return [
        Level(1, store.grid.geobox, FinestReader(store)),
        *(
            Level(
                level.factor,
                level_geobox(store.grid, level.factor),
                SealedLevel(store.path, level, seals),
            )
            for level, seals in zip(levels, whole, strict=False)
        ),
    ]


def _checked(part: slice, size: int) -> slice:
    start, stop = part.start or 0, size if part.stop is None else part.stop
    if part.step not in (None, 1) or not 0 <= start <= stop <= size:
        raise IndexError(f"cells {part} of {size}")
    return slice(start, stop)
