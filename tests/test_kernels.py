"""The table of kernels that ``make numerics`` runs tests under."""

from __future__ import annotations

import itertools

import pytest
from kernels import LEVELS, ROWS, Row, in_effect, possible

FIELDS = range(len(Row._fields))


def values(field: int) -> set[object]:
    return {row[field] for row in ROWS}


def test_rows_hold_every_pair_of_values_and_the_first_four_every_value() -> None:
    assert [len(values(field)) for field in FIELDS] == [3, 3, 2, 4, 3]
    for one, other in itertools.combinations(FIELDS, 2):
        pairs = {(row[one], row[other]) for row in ROWS}
        assert pairs == set(itertools.product(values(one), values(other)))
    for field in FIELDS:
        assert {row[field] for row in ROWS[:4]} == values(field)


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_processor_lacks_is_left_to_the_library(level: str) -> None:
    rows = {possible(row, level) for row in ROWS}
    told = {value for row in rows for value in row.variables().values()}
    assert {"avx512", "AVX512_CORE", "SkylakeX"} <= told or level != "AVX512"
    assert not ({"avx512", "AVX512_CORE", "SkylakeX"} & told) or level == "AVX512"
    assert not ({"avx2", "AVX2"} & told) or level != "DEFAULT"
    assert {row.threads for row in rows} == {1, 2, 4}
    assert possible(ROWS[0], level, x86=False) == Row("default", "", "", "", 1)


def test_libraries_say_what_they_use() -> None:
    found = in_effect()
    assert found["aten"]
    assert all(isinstance(value, str) for value in found.values())
