"""What imagery a run went without, over all its blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from s2s_map.arrays import merge_holes
from s2s_map.outputs.ledger import BlockRecord


@dataclass(frozen=True)
class RunHole:
    """Imagery that should have been there and was not.

    Attributes:
        reason: Why, in one line.
        uri: What could not be read, without queries, signatures or keys.
        count: How often it was missed, over all blocks; of web tiles how many were, each once.
        blocks: How many blocks went without it; `s2s-map status --json` names them.
    """

    reason: str
    uri: str
    count: int
    blocks: int


def holes_of(records: Iterable[BlockRecord]) -> tuple[RunHole, ...]:
    """Return the holes of finished blocks, those of one URI and reason as one."""
    found = list(records)
    blocks = Counter(
        pair for record in found for pair in {(hole.reason, hole.uri) for hole in record.holes}
    )
    merged = merge_holes(hole for record in found for hole in record.holes)
    return tuple(
        RunHole(hole.reason, hole.uri, hole.count, blocks[hole.reason, hole.uri]) for hole in merged
    )


def say_holes(holes: Sequence[RunHole]) -> str:
    """Say in a line how many holes there are, and the first."""
    first, many = holes[0], len(holes)
    return (
        f"{many} piece{'s' * (many != 1)} of imagery could not be read"
        f"{', such as' if many > 1 else ':'} {first.uri} ({first.reason}), "
        f"missing from {first.blocks} block{'s' * (first.blocks != 1)}"
    )
