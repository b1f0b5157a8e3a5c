"""The GeoTIFFs: valid, described, with statistics of the full resolution."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.session
from fixtures_maps import largest_file, make_grid, make_imagery, make_layers
from hypothesis import given
from hypothesis import strategies as st
from rio_cogeo.cogeo import cog_validate

from s2s_map.errors import OutputError, StoreError
from s2s_map.opening.open_files import open_raster
from s2s_map.rasters.cog import file_stem, read_overview, write_cog, write_cogs
from s2s_map.rasters.geotiff import overview_count
from s2s_map.rasters.quicklook import read_imagery, write_imagery

GRID = make_grid()


@pytest.mark.parametrize("shape", [(3, 2), (90, 70), (340, 310), (1100, 700)])
def test_is_a_valid_cog_with_average_overviews(tmp_path: Path, shape: tuple[int, int]) -> None:
    grid = make_grid(shape)
    (layer,) = make_layers(grid, count=1)
    path = tmp_path / "a.tif"
    write_cog(path, layer, grid, {})
    assert cog_validate(path, strict=True) == (True, [], [])
    with rasterio.open(path) as source:
        assert source.crs.to_epsg() == 32621
        assert source.transform == grid.transform
        np.testing.assert_array_equal(source.read(1), layer.probability[0])
        np.testing.assert_array_equal(source.read(2), layer.similarity[0])
        assert source.block_shapes == [(512, 512)] * 2
        assert len(source.overviews(1)) == overview_count(shape)
        assert (max(shape) <= 256) == (source.overviews(1) == [])
    if max(shape) > 256:
        with rasterio.open(path, overview_level=0) as half:
            quad = layer.probability[0][100:102, 120:122]
            np.testing.assert_allclose(half.read(1)[50, 60], quad.mean(), rtol=1e-5)


def test_bands_say_what_they_are(tmp_path: Path) -> None:
    layer = make_layers(GRID)[1]
    attributes = {"attribution": "USGS", "model": {"name": "s2s-mini"}, "nothing": None}
    write_cog(tmp_path / "a.tif", layer, GRID, attributes)
    with rasterio.open(tmp_path / "a.tif") as source:
        assert source.descriptions == (
            "traffic and car horns in a busy street: probability (softmax, uncalibrated)",
            "traffic and car horns in a busy street: cosine similarity",
        )
        assert np.isnan(source.nodatavals).all()
        tags = source.tags()
        assert tags["ATTRIBUTION"] == "USGS"
        assert json.loads(tags["MODEL"]) == {"name": "s2s-mini"}
        assert json.loads(tags["QUERY"]) == layer.query
        assert tags["METHOD"] == "softmax, uncalibrated"
        assert "NOTHING" not in tags


def test_statistics_are_those_of_every_cell(tmp_path: Path) -> None:
    grid = make_grid((700, 600))
    (layer,) = make_layers(grid, count=1)
    # One cell that no overview shows.
    layer.probability[0, 350, 301] = 7.5
    write_cog(tmp_path / "a.tif", layer, grid, {})
    with rasterio.open(tmp_path / "a.tif") as source:
        for band, values in enumerate((layer.probability, layer.similarity), start=1):
            tags = source.tags(band)
            valid = values[np.isfinite(values)].astype(np.float64)
            assert float(tags["STATISTICS_MINIMUM"]) == valid.min()
            assert float(tags["STATISTICS_MAXIMUM"]) == valid.max()
            assert float(tags["STATISTICS_MEAN"]) == pytest.approx(valid.mean(), rel=1e-12)
            assert float(tags["STATISTICS_STDDEV"]) == pytest.approx(valid.std(), rel=1e-12)
            assert float(tags["STATISTICS_VALID_PERCENT"]) == pytest.approx(
                100 * valid.size / values.size, rel=1e-3
            )


def test_a_map_without_data(tmp_path: Path) -> None:
    (layer,) = make_layers(GRID, count=1)
    layer.probability[:] = np.nan
    layer.similarity[:] = np.nan
    (path,) = write_cogs(tmp_path, [layer], GRID, ["any"], {})
    assert cog_validate(path, strict=True)[0]
    with rasterio.open(path) as source:
        assert np.isnan(source.read()).all()
        assert source.tags(1)["STATISTICS_VALID_PERCENT"] == "0"


def test_one_file_per_concept_and_slot(tmp_path: Path) -> None:
    layers = make_layers(GRID, count=2, slots=2)
    paths = write_cogs(tmp_path, layers, GRID, ["m05-h06", "m10/h20"], {})
    stems = [
        "concept-0_m05-h06",
        "concept-0_m10-h20",
        "concept-1_m05-h06",
        "concept-1_m10-h20",
    ]
    assert [path.stem for path in paths] == stems
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f"{stem}.{suffix}" for stem in stems for suffix in ("tif", "qml")
    )
    with rasterio.open(paths[3]) as source:
        np.testing.assert_array_equal(source.read(1), layers[1].probability[1])
        assert source.tags()["TIME_SLOT"] == "m10/h20"


def test_one_slot_needs_no_suffix() -> None:
    (layer,) = make_layers(GRID, count=1)
    assert file_stem(layer, "m05-h06", 1) == "concept-0"


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (layer,) = make_layers(GRID, count=1, slots=2)
    with pytest.raises(ValueError, match="on a grid of"):
        write_cog(tmp_path / "a.tif", layer, make_grid((4, 4)), {})
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        write_cog(tmp_path / "file" / "a.tif", layer, GRID, {})


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_full_disk_leaves_the_old_map(tmp_path: Path, share: float) -> None:
    grid = make_grid((400, 380))
    old, new = make_layers(grid, count=2)
    write_cog(tmp_path / "new.tif", new, grid, {})
    write_cog(tmp_path / "a.tif", old, grid, {})
    before = (tmp_path / "a.tif").read_bytes()
    with (
        largest_file(int((tmp_path / "new.tif").stat().st_size * share)),
        pytest.raises(OutputError, match="free some space"),
    ):
        write_cog(tmp_path / "a.tif", new, grid, {})
    assert (tmp_path / "a.tif").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_the_smallest_overview_is_small(ny: int, nx: int) -> None:
    count = overview_count((ny, nx))
    assert max(ny, nx) / 2**count <= 256
    assert count == 0 or max(ny, nx) / 2 ** (count - 1) > 255


@pytest.mark.parametrize("shape", [(90, 70), (600, 520)])
def test_imagery_comes_back(tmp_path: Path, shape: tuple[int, int]) -> None:
    grid = make_grid(shape)
    image = make_imagery(grid)
    path = tmp_path / "imagery.tif"
    write_imagery(path, image.pixels, image.valid, grid.geobox, {"attribution": "USGS"})
    assert cog_validate(path, strict=True) == (True, [], [])
    again = read_imagery(path)
    np.testing.assert_array_equal(again.valid, image.valid)
    np.testing.assert_array_equal(again.pixels[:, image.valid], image.pixels[:, image.valid])
    with rasterio.open(path) as source:
        assert source.tags()["ATTRIBUTION"] == "USGS"
        assert [c.name for c in source.colorinterp] == ["red", "green", "blue"]


def test_black_imagery_is_not_missing_imagery(tmp_path: Path) -> None:
    image = make_imagery(GRID)
    black = np.zeros_like(image.pixels)
    write_imagery(tmp_path / "imagery.tif", black, image.valid, GRID.geobox)
    np.testing.assert_array_equal(read_imagery(tmp_path / "imagery.tif").valid, image.valid)


def test_imagery_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="run again to make it"):
        read_imagery(tmp_path / "imagery.tif")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_damaged_imagery_is_not_read_as_something_else(tmp_path: Path) -> None:
    path = tmp_path / "imagery.tif"
    image = make_imagery(GRID)
    write_imagery(path, image.pixels, image.valid, GRID.geobox)
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:size])
        with pytest.raises(StoreError, match="run again to make it"):
            read_imagery(path)


def test_files_of_this_machine_need_no_session_of_aws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(*given: object, **named: object) -> None:
        raise AssertionError("a session")

    image, (layer,) = make_imagery(GRID), make_layers(GRID, count=1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setattr(rasterio.session.Session, "from_environ", staticmethod(made))
    write_cog(tmp_path / "a.tif", layer, GRID, {})
    assert read_overview(tmp_path / "a.tif", most=1000).shape == GRID.shape
    write_imagery(tmp_path / "imagery.tif", image.pixels, image.valid, GRID.geobox)
    assert read_imagery(tmp_path / "imagery.tif").shape == GRID.shape
    with open_raster(str(tmp_path / "imagery.tif")) as source:
        assert source.shape == GRID.shape
    with pytest.raises(AssertionError, match="a session"):
        rasterio.Env()  # so the above can fail
