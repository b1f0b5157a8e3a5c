"""How large the squares are that imagery is read in, and that a plan counts web tiles by."""

from __future__ import annotations

import numpy as np
import pytest
from odc.geo.crs import CRS

from s2s_map.catalog.catalog import load_catalog
from s2s_map.config.webtiles import XyzEntry
from s2s_map.imagery.lattice import square_side
from s2s_map.imagery.sources.xyz import source as xyz
from s2s_map.imagery.sources.xyz.source import XyzSource

LAEA = "+proj=laea +lat_0=60 +lon_0=100 +datum=WGS84 +units=m +no_defs"


@pytest.mark.parametrize(
    ("pixel_m", "native_m", "least", "side"),
    [
        (10.0, 10.0, 16, 2048),
        (40.0, 10.0, 16, 1024),
        (10_000.0, 10.0, 1, 4),
        (40_960.0, 10.0, 1, 1),
        # A map from Bouvet Island to Svalbard: more source pixels under a pixel than are read.
        (50_000.0, 10.0, 1, 1),
        (50_000.0, 10.0, 16, 16),
    ],
)
def test_a_side_is_a_power_of_two_and_bounds_the_source(
    pixel_m: float, native_m: float, least: int, side: int
) -> None:
    assert square_side(pixel_m, native_m, 4096, 2048, least) == side


def test_many_squares_are_counted_by_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = load_catalog()["eox_s2cloudless_2020"]
    assert isinstance(entry, XyzEntry)
    source = XyzSource(entry).over((60.0, 55.0, 140.0, 82.0))
    reads = [
        ((x, y, x + 43_520.0, y + 43_520.0), (4352, 4352))
        for x in np.arange(-2, 2) * 40_960.0
        for y in np.arange(0, 4) * 40_960.0
    ]
    counted: list[int] = []
    ranges_under = xyz.ranges_under

    def counting(*args, **kwargs):  # type: ignore[no-untyped-def]
        counted.append(len(args[3]))
        return ranges_under(*args, **kwargs)

    monkeypatch.setattr(xyz, "ranges_under", counting)
    exact = source.requests(reads, CRS(LAEA)).count
    monkeypatch.setattr(xyz, "_MOST_COUNTED", 100)
    roughly = source.requests(reads, CRS(LAEA)).count
    assert counted[0] == 400
    assert sum(counted[1:]) <= 100
    assert roughly == pytest.approx(exact, rel=0.05)
