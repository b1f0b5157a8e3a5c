"""Fixtures for every room."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import fixtures_threads  # noqa: F401  (before whatever reads the numbers of threads)
import kernels
import pytest
from fixtures_plugins import site as site
from fixtures_processes import forked_processes as forked_processes
from fixtures_raster import MakeRaster, RasterSpec, write_raster
from hypothesis import settings

LONG = ("e2e", "faults", "parity", "qgis", "slow")

# Machines are shared: how long an example takes says nothing.
settings.register_profile("shared", deadline=None)
# `make numerics` tries each property in several processes, under other kernels.
settings.register_profile("kernels", deadline=None, max_examples=25)
settings.load_profile("kernels" if kernels.ASKED in os.environ else "shared")


# Started in the background, a shell's children ignore Ctrl-C, and so would those of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first, so that no process is left with one at the end."""
    long: dict[Path, int] = {}
    for item in items:
        marks = sum(item.get_closest_marker(name) is not None for name in LONG)
        long[item.path] = long.get(item.path, 0) + marks
    items.sort(key=lambda item: -long[item.path])


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the processes they start, keep their vectors in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S2S_MAP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def make_raster(tmp_path: Path) -> MakeRaster:
    """Return a factory of GeoTIFFs over dtype, nodata, mask, alpha, place, CRS and bands.

    ``make_raster("a.tif", place="dateline", dtype="uint16", nodata=0, mask=valid)``; without
    `values` the bands hold `waves` of the pixel centres' coordinates.
    """

    def make(name: str = "scene.tif", /, **fields: object) -> Path:
        return write_raster(tmp_path / name, RasterSpec(**fields))  # type: ignore[arg-type]

    return make
