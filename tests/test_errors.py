"""What every error says."""

from __future__ import annotations

import pickle

from s2s_map.errors import ConfigError


def test_a_long_error_keeps_its_start_its_end_and_the_remedy() -> None:
    found = "start " + "x" * 100_000 + " end"
    error = ConfigError(found, expected="one of " + "y, " * 5000, remedy="do\nthis")
    said = str(error)
    assert len(said) < 5000
    assert said.startswith("start x")
    assert " end; expected one of y" in said
    assert said.endswith("; do this")
    assert str(pickle.loads(pickle.dumps(error))) == said  # noqa: S301


def test_a_short_one_is_as_it_is() -> None:
    assert str(ConfigError("a" * 2400, remedy="b")) == "a" * 2400 + "; b"
