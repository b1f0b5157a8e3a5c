"""The benchmark of a country, small: from search to GeoTIFF on loopback, as it was planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow  # A run of its own process, and images of whole tiles.
@pytest.mark.e2e
def test_from_search_to_geotiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    from country import measure  # type: ignore[import-not-found]

    # Where four tiles of a zone meet.
    found = measure(tmp_path, [36.6, -1.6, 37.1, -1.2], 1280, 4, 8)
    assert found["holes"] == found["failed"] == 0
    assert 0 < found["chosen"] <= min(found["planned_scenes"], found["scenes"])
    # A year is four parts here; a scene is four files, each with a header.
    assert found["searches"] == 4
    assert 4 * found["chosen"] <= found["reads"] <= found["planned_requests"]
    assert found["peak"] <= found["planned_memory"]
    assert {path.name for path in found["tif"]} == {"birds.tif", "imagery.tif"}
    with rasterio.open(tmp_path / "out" / "birds.tif") as image:
        assert np.isfinite(image.read(1, masked=True).filled(np.nan)).sum() == found["cells"]
