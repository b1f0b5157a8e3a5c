"""Names that are spelt nearly as one that nobody has."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

_CUTOFF = 0.75
_AMONG = 20


def nearest_names(wanted: str, known: Mapping[str, int], count: int = 3) -> list[str]:
    """Return the names nearest to a misspelt one: by letters to change, then by rank.

    Args:
        wanted: The name.
        known: Names with their rank; of two that are as near, the lower comes first.
        count: Names at most.

    Examples:
        >>> nearest_names("frence", {"florence": 1, "france": 0})
        ['france', 'florence']
    """
    near = difflib.get_close_matches(wanted, known, n=_AMONG, cutoff=_CUTOFF)
    order = {name: place for place, name in enumerate(near)}
    return sorted(near, key=lambda name: (edits(wanted, name), known[name], order[name]))[:count]


def edits(one: str, other: str) -> int:
    """Return how many letters to insert, leave out, change or swap make one text the other.

    Optimal string alignment (restricted Damerau-Levenshtein distance).

    Examples:
        >>> edits("frence", "france"), edits("frnace", "france")
        (1, 1)
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
