"""Fixtures of web tiles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures_webtiles import WebTileServer, serve_webtiles

from s2s_map.imagery.sources.xyz.fetcher import close_fetchers


@pytest.fixture
def webtile_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache of web tiles, and fetchers that end with the test."""
    monkeypatch.setenv("S2S_MAP_CACHE", str(tmp_path / "cache"))
    yield
    close_fetchers()


@pytest.fixture
def server(webtile_cache: None) -> Iterator[WebTileServer]:
    """A server of web tiles, where a test module has no server of its own."""
    with serve_webtiles() as state:
        yield state
