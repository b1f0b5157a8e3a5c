"""One small run for all tests of the map in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures_view import Client, make_run, viewing


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run; tests that write take a copy."""
    return make_run(tmp_path_factory.mktemp("viewed") / "dam")


@pytest.fixture(scope="module")
def client(finished: Path) -> Iterator[Client]:
    with viewing(finished) as found:
        yield found
