"""``maps.zarr``: equal values and the right place in xarray and in GDAL, in both formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401  (registers the .rio accessor)
import xarray as xr
from fixtures_maps import make_grid, make_layers

from s2s_map.errors import OutputError, StoreError
from s2s_map.rasters.maps import read_maps, read_maps_grid, write_maps
from s2s_map.scoring.layers import ConceptLayer

GRID = make_grid()
SLOTS = ["m05-h06", "m10-h20"]
Format = Literal[2, 3]

pytestmark = pytest.mark.parametrize("zarr_format", [2, 3])


def write(folder: Path, zarr_format: Format, layers: list[ConceptLayer] | None = None) -> Path:
    path = folder / "maps.zarr"
    attributes = {"attribution": "USGS", "model": {"name": "s2s-mini", "sizes": [1, 2]}}
    layers = layers or make_layers(GRID, count=3, slots=2)
    write_maps(path, layers, GRID, SLOTS, attributes, zarr_format)
    return path


def test_reads_what_was_written(tmp_path: Path, zarr_format: Format) -> None:
    layers = make_layers(GRID, count=3, slots=2)
    again = read_maps(write(tmp_path, zarr_format))
    for before, after in zip(layers, again, strict=True):
        np.testing.assert_array_equal(after.probability, before.probability)
        np.testing.assert_array_equal(after.similarity, before.similarity)
        assert (after.name, after.title, after.method) == (
            before.name,
            before.title,
            before.method,
        )
        assert after.query == before.query
    grid, slots, attributes = read_maps_grid(tmp_path / "maps.zarr")
    assert grid == GRID
    assert slots == SLOTS
    assert attributes["model"] == {"name": "s2s-mini", "sizes": [1, 2]}


# rioxarray 0.23 still multiplies transforms as affine 3 no longer likes.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_xarray_sees_a_cf_dataset(tmp_path: Path, zarr_format: Format) -> None:
    path = write(tmp_path, zarr_format)
    with xr.open_dataset(path, engine="zarr") as dataset:
        assert dataset["probability"].dims == ("concept", "time", "y", "x")
        assert dataset["probability"].dtype == np.float32
        assert [str(c) for c in dataset["concept"].values] == [f"concept-{i}" for i in range(3)]
        assert [str(t) for t in dataset["time"].values] == SLOTS
        np.testing.assert_array_equal(dataset["x"], GRID.x)
        np.testing.assert_array_equal(dataset["y"], GRID.y)
        assert dataset["x"].attrs["standard_name"] == "projection_x_coordinate"
        assert dataset["probability"].attrs["long_name"] == "probability (softmax, uncalibrated)"
        assert dataset["similarity"].attrs["units"] == "1"
        assert dataset.attrs["attribution"] == "USGS"
        assert dataset.attrs["Conventions"].startswith("CF-")
        assert dataset.attrs["proj:code"] == "EPSG:32621"
        assert dataset.attrs["spatial:transform"] == list(GRID.transform)[:6]
        assert dataset["spatial_ref"].attrs["grid_mapping_name"] == "transverse_mercator"
    with xr.open_dataset(path, engine="zarr", decode_coords="all") as dataset:
        assert dataset.rio.crs == rasterio.crs.CRS.from_epsg(32621)
        assert dataset.rio.transform(recalc=False) == GRID.transform


def test_consolidated_and_unsharded(tmp_path: Path, zarr_format: Format) -> None:
    path = write(tmp_path, zarr_format)
    with xr.open_zarr(path, consolidated=True, chunks=None):
        pass
    if zarr_format == 3:
        array = json.loads((path / "probability" / "zarr.json").read_text())
        assert "sharding_indexed" not in {codec["name"] for codec in array["codecs"]}
        assert array["fill_value"] == "NaN"


@pytest.mark.parametrize("variable", ["probability", "similarity"])
def test_gdal_sees_a_georeferenced_raster(
    tmp_path: Path, zarr_format: Format, variable: str
) -> None:
    path = write(tmp_path, zarr_format)
    layers = make_layers(GRID, count=3, slots=2)
    with rasterio.open(f'ZARR:"{path}":/{variable}') as source:
        assert source.crs == rasterio.crs.CRS.from_epsg(32621)
        assert source.transform == GRID.transform
        assert np.isnan(source.nodata)
        assert source.count == 6
        bands = source.read()
        # Concept by concept, the time slots of each together.
        for band, (concept, slot) in enumerate((c, t) for c in range(3) for t in range(2)):
            expected = getattr(layers[concept], variable)[slot]
            np.testing.assert_array_equal(bands[band], expected)
            tags = source.tags(band + 1)
            assert (tags["DIM_concept_INDEX"], tags["DIM_time_INDEX"]) == (
                str(concept),
                str(slot),
            )


def test_one_band_per_concept_for_one_slot(tmp_path: Path, zarr_format: Format) -> None:
    layers = make_layers(GRID, count=3)
    write_maps(tmp_path / "maps.zarr", layers, GRID, ["any"], {}, zarr_format)
    with rasterio.open(f'ZARR:"{tmp_path / "maps.zarr"}":/probability') as source:
        assert source.count == 3
        x, y = float(GRID.x[40]), float(GRID.y[30])
        (sampled,) = source.sample([(x, y)])
        np.testing.assert_array_equal(sampled, [one.probability[0, 30, 40] for one in layers])


def test_larger_than_a_chunk(tmp_path: Path, zarr_format: Format) -> None:
    grid = make_grid((600, 530))
    layers = make_layers(grid, count=1)
    write_maps(tmp_path / "maps.zarr", layers, grid, ["any"], {}, zarr_format)
    np.testing.assert_array_equal(
        read_maps(tmp_path / "maps.zarr")[0].probability, layers[0].probability
    )


def test_replaces_the_old_maps_only_when_done(tmp_path: Path, zarr_format: Format) -> None:
    path = write(tmp_path, zarr_format)
    fewer = make_layers(GRID, count=1, slots=2)
    write_maps(path, fewer, GRID, SLOTS, {}, zarr_format)
    assert [layer.name for layer in read_maps(path)] == ["concept-0"]
    with pytest.raises(ValueError, match="one or more layers of different names"):
        write_maps(path, [*fewer, *fewer], GRID, SLOTS, {}, zarr_format)
    with pytest.raises(ValueError, match="has shape"):
        write_maps(path, fewer, make_grid((5, 5)), SLOTS, {}, zarr_format)
    assert [layer.name for layer in read_maps(path)] == ["concept-0"]
    assert [p.name for p in tmp_path.iterdir()] == ["maps.zarr"]


def test_errors_are_one_line(tmp_path: Path, zarr_format: Format) -> None:
    with pytest.raises(StoreError, match=r"no maps at .*make them with s2s-map run"):
        read_maps(tmp_path / "maps.zarr")
    path = write(tmp_path, zarr_format)
    (path / "probability" / ("zarr.json" if zarr_format == 3 else ".zarray")).write_text("{")
    with pytest.raises(StoreError, match=r"cannot read .*maps\.zarr"):
        read_maps(path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_maps(
            tmp_path / "file" / "maps.zarr",
            make_layers(GRID),
            GRID,
            ["any"],
            {},
            zarr_format,
        )


def test_other_groups_are_not_maps(tmp_path: Path, zarr_format: Format) -> None:
    path = tmp_path / "maps.zarr"
    xr.Dataset({"a": ("x", [1, 2])}).to_zarr(path, zarr_format=zarr_format, consolidated=False)
    with pytest.raises(StoreError, match="holds something else"):
        read_maps(path)
