"""Questions that are answered while one looks: encoded once, scored piece by piece, not written."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.run import QueryConfig
from s2s_map.encoding.query_check import QueryCheck
from s2s_map.encoding.vector_cache import vectors_folder
from s2s_map.errors import QueryError
from s2s_map.pipeline.job.question import make_question
from s2s_map.pipeline.maps.questions import QuestionGroup, Questions, encode_questions
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.server.colouring import nothing, png, steps
from s2s_map.server.models import Models
from s2s_map.server.pieces import PIECE_CELLS, Pieces
from s2s_map.server.tile_grid import Tile, fitting, least_pixels, window_of
from s2s_map.server.viewed import Viewed, joined_range
from s2s_map.server.viewed_run import ViewedRun

KEPT_QUESTIONS = 64
MOST_PARTS, LONGEST_TEXT = 8, 300
_SAMPLED_PIECES = 8


@dataclass(frozen=True, eq=False)
class Question:
    """A question that is asked, and how it is drawn.

    Attributes:
        id: Names it in addresses; of its content.
        config: What was asked.
        questions: Its encodings, by the hash of the model.
        title: One line for people.
        colour_range: Where its colours begin and end.
        about: What the legend says: method, doubts, an even share.
    """

    id: str
    config: QueryConfig
    questions: dict[str, Questions]
    title: str
    colour_range: tuple[float, float]
    about: dict[str, Any]

    def group(self, run: ViewedRun) -> QuestionGroup:
        """Return its vectors for a run.

        Raises:
            QueryError: If the run has another model than when it was asked.
        """
        if run.record.model_sha256 not in self.questions:
            raise QueryError(f"{self.title!r} was asked of another model", remedy="ask it again")
        return self.questions[run.record.model_sha256].groups()[0]


class Answers:
    """The questions asked so far, and their tiles.

    Args:
        models: What encodes them.
        pieces: What reads the cells and scores them.
    """

    def __init__(self, models: Models, pieces: Pieces) -> None:
        self._models, self._pieces = models, pieces
        self._lock = Lock()
        self._asked: OrderedDict[str, Question] = OrderedDict()

    def ask(
        self,
        viewed: Viewed,
        texts: Sequence[str],
        minus: Sequence[str] = (),
        recording: str | None = None,
    ) -> Question:
        """Encode a question and see how its values are spread; nothing is written.

        Args:
            viewed: What is looked at.
            texts: What to listen for; the question is the mean of all parts.
            minus: Texts to take off.
            recording: Path of a recording, one more part.

        Raises:
            QueryError: For a question that cannot be asked, or longer than is taken here.
        """
        _check_length([*texts, *minus])
        first, *rest = [*texts, None] if len(texts) == 1 else [None, *texts]
        config = make_question(None, first, recording, [t for t in rest if t], minus)
        content = json.dumps([viewed.version, config.model_dump(mode="json")])
        key = hashlib.sha256(content.encode()).hexdigest()[:16]
        with self._lock:
            if key in self._asked:
                self._asked.move_to_end(key)
                return self._asked[key]
        encoded = {
            run.record.model_sha256: encode_questions(
                model := self._models.of(run), model.card, [config],
                run.record.config.probability, vectors_folder(), run.record.concepts,
            )
            for run in {run.record.model_sha256: run for run in viewed.runs}.values()
        }  # fmt: skip
        question = self._looked_at(viewed, key, config, encoded)
        with self._lock:
            self._asked[key] = question
            while len(self._asked) > KEPT_QUESTIONS:
                self._asked.popitem(last=False)
        return question

    def question(self, key: str) -> Question:
        """Return a question by its id.

        Raises:
            QueryError: If it was never asked, or too long ago.
        """
        with self._lock:
            if key not in self._asked:
                raise QueryError(f"no question {key[:16]!r} is kept", remedy="ask it again")
            self._asked.move_to_end(key)
            return self._asked[key]

    def tile(
        self, viewed: Viewed, question: Question, slot: str, tile: Tile, above: float | None = None
    ) -> bytes:
        """Return a tile of the answer as PNG, from the level of the overviews that fits it."""
        drawn: NDArray[np.float32] | None = None
        for run in viewed.runs:
            if slot not in run.time_slots:
                continue
            found = self._values(viewed, question, run, run.time_slots.index(slot), tile)
            if found is not None:
                drawn = found if drawn is None else np.where(np.isnan(drawn), found, drawn)
        if drawn is None:
            return nothing()
        return png(steps(drawn, question.colour_range, above), above=above is not None)

    def value_at(
        self, viewed: Viewed, question: Question, run: ViewedRun, cell: tuple[int, int]
    ) -> list[float]:
        """Return the answer at a cell of the finest level, one per time slot; NaN for no data."""
        row, column = cell
        side = PIECE_CELLS
        found = []
        for slot in range(len(run.time_slots)):
            piece = self._pieces.scored(
                viewed, run, question.id, question.group(run), 0, slot, row // side, column // side
            )
            found.append(float(piece[row % side, column % side]))
        return found

    def area_values(self, viewed: Viewed, question: Question, slot: str) -> list[Any]:
        """Return values and the area of a cell (km2) of the finest level that is small enough."""
        found = []
        for run in viewed.runs:
            if slot not in run.time_slots:
                continue
            levels = self._pieces.levels(viewed, run)
            level = next(
                (i for i, one in enumerate(levels) if _pieces_of(one.geobox.shape) <= 64),
                len(levels) - 1,
            )
            at = run.time_slots.index(slot)
            values = [
                self._pieces.scored(
                    viewed, run, question.id, question.group(run), level, at, *where
                ).ravel()
                for where in _places(levels[level].geobox.shape)
            ]
            side_km = run.grid.cell_m * levels[level].factor / 1000
            found.append((np.concatenate(values), side_km**2))
        return found

    def _values(
        self, viewed: Viewed, question: Question, run: ViewedRun, slot: int, tile: Tile
    ) -> NDArray[np.float32] | None:
        levels = self._pieces.levels(viewed, run)
        group = question.group(run)
        sides = [run.grid.cell_m * one.factor for one in levels]
        index = fitting(sides, tile.pixel_m, least_pixels(group.vectors.shape[1]))
        window = window_of(tile, levels[index].geobox)
        if window is None:
            return None
        cells = self._pieces.window(
            viewed, run, question.id, group, index, slot, window.rows, window.columns
        )
        return window.drawn(cells)

    def _looked_at(
        self, viewed: Viewed, key: str, config: QueryConfig, encoded: dict[str, Questions]
    ) -> Question:
        ranges, about, title = [], {}, ""
        for run in viewed.runs:
            questions = encoded[run.record.model_sha256]
            query = questions.queries[0]
            values = self._sample(viewed, key, run, questions.groups()[0])
            flat = values.reshape(1, -1, 1)
            layer = ConceptLayer(
                query.name, query.title, questions.describe(query), flat, flat,
                questions.method().label,
            )  # fmt: skip
            ranges.append(layer.colour_range)
            title = query.title
            about = {
                "name": query.name,
                "label": layer.probability_label,
                "even_share": layer.even_share,
                "least_px": least_pixels(query.vector.shape[0]),
                "doubts": list(layer.doubts),
                "notes": _notes(questions.checks.get(query.name)),
            }
        return Question(key, config, encoded, title, joined_range(ranges), about)

    def _sample(
        self, viewed: Viewed, key: str, run: ViewedRun, group: QuestionGroup
    ) -> NDArray[np.float32]:
        """Return values from all over a run: of a coarse level, or of some pieces of the finest."""
        levels = self._pieces.levels(viewed, run)
        level = next(
            (i for i, one in enumerate(levels) if _pieces_of(one.geobox.shape) <= _SAMPLED_PIECES),
            len(levels) - 1,
        )
        places = _places(levels[level].geobox.shape)
        every = max(1, len(places) // _SAMPLED_PIECES)
        return np.concatenate(
            [
                self._pieces.scored(viewed, run, key, group, level, 0, *where).ravel()
                for where in places[every // 2 :: every]
            ]
        )


def _pieces_of(shape: Any) -> int:
    return len(_places(shape))


def _places(shape: Any) -> list[tuple[int, int]]:
    ny, nx = (-(-int(n) // PIECE_CELLS) for n in shape)
    return [(row, column) for row in range(ny) for column in range(nx)]


def _notes(check: QueryCheck | None) -> list[str]:
    return [] if check is None else [line.partition(": ")[2] for line in check.lines()]


def _check_length(texts: Sequence[str]) -> None:
    if len(texts) > MOST_PARTS:
        raise QueryError(
            f"a question of {len(texts)} parts", expected=f"at most {MOST_PARTS} on the map",
            remedy="ask with s2s-map query",
        )  # fmt: skip
    longest = max((len(text) for text in texts), default=0)
    if longest > LONGEST_TEXT:
        raise QueryError(
            f"a text of {longest:,} characters", expected=f"at most {LONGEST_TEXT} on the map"
        )
