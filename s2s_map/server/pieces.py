"""Squares of cells of one level, read, scored and kept for the next tile and the next question."""

from __future__ import annotations

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from s2s_map.embeddings.overviews import Level, open_levels
from s2s_map.pipeline.maps.questions import QuestionGroup
from s2s_map.scoring.similarity import similarity
from s2s_map.server.bounded_cache import BoundedCache
from s2s_map.server.viewed import Viewed
from s2s_map.server.viewed_run import ViewedRun

PIECE_CELLS = 64
"""Side of a piece in cells; that of the chunks that embeddings are decompressed by."""

KEPT_BYTES = 384 << 20


class Pieces:
    """Reads and scores pieces.

    The vectors of a piece and their similarities to the background are kept, so that the next
    question over the same ground costs one product of a vector.

    Args:
        kept_bytes: What is kept in memory at most.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._cache = BoundedCache(kept_bytes)
        self._lock = Lock()
        self._levels: dict[str, list[Level]] = {}
        self._version = ""

    def levels(self, viewed: Viewed, run: ViewedRun) -> list[Level]:
        """Return the levels of a run's embeddings, the finest first."""
        with self._lock:
            if self._version != viewed.version:
                # What was read of other results is of no use any more.
                self._version, self._levels = viewed.version, {}
                self._cache.clear()
            key = str(run.folder)
            if key not in self._levels:
                self._levels[key] = open_levels(run.folder)
            return self._levels[key]

    def vectors(
        self, viewed: Viewed, run: ViewedRun, level: int, slot: int, row: int, column: int
    ) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """Return the vectors (h, w, dim) of a piece, and which cells have one."""
        one = self.levels(viewed, run)[level]
        ny, nx = (int(n) for n in one.geobox.shape)

        def read() -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
            values, counts = one.read(_part(row, ny), _part(column, nx), slot)
            return values, counts > 0

        key = ("vectors", *_name(viewed, run), level, slot, row, column)
        values, there = self._cache.get(key, read)
        return values, there  # type: ignore[return-value]

    def scored(
        self,
        viewed: Viewed,
        run: ViewedRun,
        question: str,
        group: QuestionGroup,
        level: int,
        slot: int,
        row: int,
        column: int,
    ) -> NDArray[np.float32]:
        """Return the answers (h, w) of a piece, NaN for no data.

        Args:
            viewed: What is looked at.
            run: Of it.
            question: Its id.
            group: Its one query.
            level: Index of the level.
            slot: Index of the time slot.
            row: Row of the piece.
            column: Its column.
        """
        where = (*_name(viewed, run), level, slot, row, column)

        def score() -> tuple[NDArray[np.float32]]:
            values, there = self.vectors(viewed, run, level, slot, row, column)
            answer = np.full(there.shape, np.nan, dtype=np.float32)
            if there.any():
                found = similarity(values[there], group.vectors)[:, 0]
                answer[there] = group.method(found, self._background(where, values, there, group))
            return (answer,)

        return self._cache.get(("scored", question, *where), score)[0]  # type: ignore[return-value]

    def window(
        self,
        viewed: Viewed,
        run: ViewedRun,
        question: str,
        group: QuestionGroup,
        level: int,
        slot: int,
        rows: slice,
        columns: slice,
    ) -> NDArray[np.float32]:
        """Return the answers of a rectangle of cells, put together from pieces; see `scored`."""
        height, width = rows.stop - rows.start, columns.stop - columns.start
        cells = np.full((height, width), np.nan, dtype=np.float32)
        side = PIECE_CELLS
        for row in range(rows.start // side, -(-rows.stop // side)):
            for column in range(columns.start // side, -(-columns.stop // side)):
                piece = self.scored(viewed, run, question, group, level, slot, row, column)
                top, left = row * side, column * side
                y0, y1 = max(rows.start, top), min(rows.stop, top + piece.shape[0])
                x0, x1 = max(columns.start, left), min(columns.stop, left + piece.shape[1])
                part = piece[y0 - top : y1 - top, x0 - left : x1 - left]
                cells[
                    y0 - rows.start : y1 - rows.start, x0 - columns.start : x1 - columns.start
                ] = part
        return cells

    def _background(
        self,
        where: tuple[object, ...],
        values: NDArray[np.float16],
        there: NDArray[np.bool_],
        group: QuestionGroup,
    ) -> NDArray[np.float32]:
        """Return similarities (cells, n) to what of the vocabulary counts for the query."""
        kind = group.queries[0].kind
        # A piece's vectors are the same for all who ask, and so is the vocabulary of a kind.
        key = ("background", kind, len(group.background), *where)
        found = self._cache.get(key, lambda: (similarity(values[there], group.background),))[0]
        keep = group.keep[0]
        return found if keep.all() else found[:, keep]  # type: ignore[return-value]


def _name(viewed: Viewed, run: ViewedRun) -> tuple[str, str]:
    return viewed.version, str(run.folder)


def _part(index: int, cells: int) -> slice:
    return slice(index * PIECE_CELLS, min((index + 1) * PIECE_CELLS, cells))
