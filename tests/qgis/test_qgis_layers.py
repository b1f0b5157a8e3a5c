"""What a person sees who drags the outputs into QGIS, in the real QGIS without a display."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures_maps import (
    known_points,
    make_grid,
    make_imagery,
    make_layers,
    read_range,
)
from fixtures_qgis import asked, needs_qgis
from numpy.typing import NDArray

from s2s_map.rasters.cog import write_cogs
from s2s_map.rasters.colours import MAGMA
from s2s_map.rasters.maps import write_maps
from s2s_map.rasters.quicklook import write_imagery
from s2s_map.tiling.grid import MapGrid

SCRIPT = Path(__file__).with_name("check_layers.py")
CELLS = [(0, 69), (30, 40), (89, 20), (45, 16)]


pytestmark = needs_qgis()


def look(folder: Path, layers: dict[str, list[list[float]]]) -> list[dict[str, Any]]:
    """Return what QGIS says of layers, given as paths and the points to sample them at."""
    request = {
        "layers": [{"path": path, "points": points} for path, points in layers.items()],
        "pictures": None,
    }
    (folder / "request.json").write_text(json.dumps(request))
    seen: list[dict[str, Any]] = asked(SCRIPT, str(folder / "request.json"))
    return seen


@pytest.mark.parametrize("shape", [(90, 70), (620, 560)])
def test_geotiffs_open_styled_and_in_the_right_place(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    grid = make_grid(shape)
    layers = make_layers(grid, count=3)
    paths = write_cogs(tmp_path, layers, grid, ["any"], {"attribution": "USGS"})
    points = known_points(grid, CELLS)
    for layer, path, seen in zip(
        layers, paths, look(tmp_path, {str(p): points for p in paths}), strict=True
    ):
        assert seen["valid"], seen
        assert seen["crs"] == "EPSG:32621"
        assert seen["extent"] == list(grid.bounds)
        assert seen["nodata"] == [True, True]
        assert [f"Band {i + 1}: {text}" for i, text in enumerate(layer.band_descriptions)] == (
            seen["bands"]
        )
        renderer = seen["renderer"]
        assert renderer["type"] == "singlebandpseudocolor"
        assert renderer["band"] == 1
        assert renderer["interpolated"]
        assert renderer["colours"] == list(MAGMA)
        assert (renderer["minimum"], renderer["maximum"]) == read_range(path.with_suffix(".qml"))
        assert any("softmax, uncalibrated" in text for text in seen["legend"])
        assert any("98th percentile" in text for text in seen["legend"])
        for (row, col), sampled in zip(CELLS, seen["samples"], strict=True):
            expected = (layer.probability[0, row, col], layer.similarity[0, row, col])
            np.testing.assert_array_equal(np.array(sampled, dtype=np.float32), expected)
        # Where the opacity between the two lowest stops rounds to none.
        low, high = layer.colour_range
        check_picture(seen, grid, layer.probability[0] > low + 0.003 * (high - low))


def check_picture(seen: dict[str, Any], grid: MapGrid, drawn: NDArray[np.bool_]) -> None:
    """The map fills its part of the square picture, and only these cells are drawn."""
    ny, nx = grid.shape
    share = drawn.mean() * min(ny, nx) / max(ny, nx)
    assert seen["picture"]["opaque_share"] == pytest.approx(share, abs=0.03)
    assert seen["picture"]["colours"] > 50


def test_a_cell_without_data_has_no_value(tmp_path: Path) -> None:
    grid = make_grid()
    (path,) = write_cogs(tmp_path, make_layers(grid, count=1), grid, ["any"], {})
    (seen,) = look(tmp_path, {str(path): known_points(grid, [(60, 0)])})
    assert seen["samples"] == [[None, None]]


def test_a_map_without_any_data_opens(tmp_path: Path) -> None:
    grid = make_grid()
    (layer,) = make_layers(grid, count=1)
    layer.probability[:] = np.nan
    (path,) = write_cogs(tmp_path, [layer], grid, ["any"], {})
    (seen,) = look(tmp_path, {str(path): []})
    assert seen["valid"]
    assert seen["renderer"]["type"] == "singlebandpseudocolor"
    assert seen["picture"]["opaque_share"] == 0


def test_imagery_opens_as_colours(tmp_path: Path) -> None:
    grid = make_grid()
    image = make_imagery(grid)
    write_imagery(tmp_path / "imagery.tif", image.pixels, image.valid, grid.geobox)
    (seen,) = look(tmp_path, {str(tmp_path / "imagery.tif"): []})
    assert seen["valid"]
    assert seen["crs"] == "EPSG:32621"
    assert seen["renderer"]["type"] == "multibandcolor"
    check_picture(seen, grid, image.valid)


def test_zarr_format_2_opens_one_concept_and_slot_at_a_time(tmp_path: Path) -> None:
    grid = make_grid()
    layers = make_layers(grid, count=2, slots=2)
    path = tmp_path / "maps.zarr"
    write_maps(path, layers, grid, ["m05-h06", "m10-h20"], {}, zarr_format=2)
    (seen,) = look(tmp_path, {f'ZARR:"{path}":/probability:1:0': known_points(grid, CELLS)})
    assert seen["valid"], seen
    assert seen["crs"] == "EPSG:32621"
    assert seen["extent"] == list(grid.bounds)
    expected = [layers[1].probability[0, row, col] for row, col in CELLS]
    np.testing.assert_array_equal(np.array(seen["samples"], dtype=np.float32)[:, 0], expected)
