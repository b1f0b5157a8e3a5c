"""Environment variables of entries."""

from __future__ import annotations

import pytest

from s2s_map.catalog.environment import check_environment, expanded
from s2s_map.config.catalog import RasterEntry
from s2s_map.errors import CatalogError

KEYS = {"MAP_KEY": "s3cret", "HOME": "/home/me", "EMPTY": ""}


def entry(*env: str) -> RasterEntry:
    return RasterEntry.model_validate(
        {
            "type": "raster",
            "title": "t",
            "uri": "x",
            "sensor": "landsat",
            "licence": "l",
            "attribution": "a",
            "env": env,
        }
    )


def test_declared_variables_are_put_in_and_nothing_else() -> None:
    text = "https://x/${MAP_KEY}/$HOME/~/$(id)/{HOME}"
    assert expanded(text, entry("MAP_KEY"), KEYS) == "https://x/s3cret/$HOME/~/$(id)/{HOME}"
    with pytest.raises(CatalogError, match=r"uses \$\{HOME\}.*add HOME to env:"):
        expanded("${HOME}", entry("MAP_KEY"), KEYS)


def test_what_is_not_set_is_named_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    check_environment(entry("MAP_KEY"), KEYS)
    with pytest.raises(CatalogError, match="variables EMPTY, ABSENT") as error:
        check_environment(entry("MAP_KEY", "EMPTY", "ABSENT"), KEYS)
    assert "s3cret" not in str(error.value)
    monkeypatch.delenv("S2S_TEST_KEY", raising=False)
    with pytest.raises(CatalogError, match="variable S2S_TEST_KEY"):
        expanded("x", entry("S2S_TEST_KEY"))


def test_a_value_put_in_is_not_expanded_again() -> None:
    keys = {"A": "${B}", "B": "b"}
    assert expanded("${A}", entry("A", "B"), keys) == "${B}"


def test_names_are_names() -> None:
    with pytest.raises(ValueError, match="not the name of an environment variable"):
        entry("A B")
