"""What a model saw, how imagery is brought there, and what is said where it is not."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fixtures_encodings import FALSE_COLOUR, NUMBERS, encodings, write_encoding
from fixtures_raster import RasterSpec, write_raster
from numpy.typing import NDArray

from s2s_map.catalog.catalog import sample_path
from s2s_map.config.catalog import RasterEntry
from s2s_map.config.scale import MatchScale, PercentileScale, ValueScale
from s2s_map.config.seen import PERCENTILES, SeenImagery
from s2s_map.errors import ConfigError, ImageryError
from s2s_map.imagery.collars import run_share
from s2s_map.imagery.colours import measured_scale, seen_in
from s2s_map.imagery.judging import judge
from s2s_map.imagery.sample import MOST_PIXELS, Sample, sample_files
from s2s_map.imagery.scaling import thresholds, to_8bit
from s2s_map.imagery.source import Source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.models.registry import model_card

EVERYWHERE = (-180.0, -80.0, 180.0, 84.0)
Levels = NDArray[np.float32]


def mini() -> SeenImagery:
    seen = model_card("s2s-mini").seen
    assert seen is not None
    return seen


def source(path: Path, **fields: object) -> Source:
    base = {
        "type": "raster",
        "title": "t",
        "uri": str(path),
        "sensor": "landsat",
        "licence": "public domain",
        "attribution": "USGS",
    }
    return open_source(RasterEntry.model_validate({**base, **fields}))


def remarks(one: Source, seen: SeenImagery | None = None) -> list[str]:
    seen = seen or mini()
    sample = one.sample(EVERYWHERE)
    return judge(sample, one.measured(sample, seen).scale, seen)


@pytest.fixture(scope="module")
def demo() -> Levels:
    with rasterio.open(sample_path("iguacu_landsat8_rgb.tif")) as image:
        valid = image.dataset_mask() > 0
        values: Levels = image.read()[:, valid].astype(np.float32)[:, ::10]
    return values


def test_the_card_says_what_it_saw() -> None:
    seen = mini()
    assert "gamma 1.3" in seen.source
    assert sum(seen.joint.values()) == pytest.approx(1e6, rel=1e-3)
    assert len(seen.model_dump_json()) < 4_000
    assert 60 < seen.blue.mean < 120


def test_a_card_without_it_is_one_still() -> None:
    card = model_card("s2s-mini").model_copy(update={"seen": None})
    assert type(card).model_validate_json(card.model_dump_json()) == card


def test_what_was_seen_is_counted() -> None:
    levels = np.stack([np.full(1000, 10), np.arange(1000) % 256, np.full(1000, 200)])
    levels[:, 0] = 0
    levels[2, 1] = 201
    levels[0, 1] = 11
    seen = seen_in(levels.astype(np.uint8), "made up")
    assert seen.pixels == 1000
    assert seen.zeros == pytest.approx(0.001)
    assert set(seen.joint) >= {"006", "076"}
    assert seen.green.percentiles[PERCENTILES.index(50.0)] == pytest.approx(124, abs=5)
    with pytest.raises(ImageryError, match="no level but"):
        seen_in(np.full((3, 300), 7, np.uint8), "flat")
    with pytest.raises(ImageryError, match="2 pixels"):
        seen_in(np.zeros((3, 2), np.uint8), "few")


def test_auto_is_what_the_model_was_trained_with() -> None:
    one = source(NUMBERS, nodata=0, scale="auto")
    sample = one.sample(EVERYWHERE)
    scale = measured_scale(PercentileScale(), sample.values, None)
    values = np.asarray(encodings()[0].values)
    with rasterio.open(NUMBERS) as image:
        numbers = image.read().astype(np.float32)
    seen = numbers.any(axis=0)
    difference = to_8bit(numbers, scale)[:, seen].astype(int) - values[:, seen].astype(int)
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize(("factor", "offset"), [(2.0, 0), (0.5, 300), (1.0, -400), (4.0, 12)])
def test_match_is_monotone_and_blind_to_the_encoding(factor: float, offset: int) -> None:
    numbers = np.random.default_rng(0).gamma(2.0, 900.0, (3, 20_000)).round()
    values = numbers.astype(np.float32)
    scale = measured_scale(MatchScale(), values, mini())
    assert scale.curves is not None
    for curve in scale.curves:
        steps = thresholds(curve)
        assert (np.diff(steps[np.isfinite(steps)]) >= 0).all()
    levels = to_8bit(values, scale).astype(int)
    # Exact in float32: the other encoding has the same order.
    other = values * np.float32(factor) + np.float32(offset)
    again = to_8bit(other, measured_scale(MatchScale(), other, mini())).astype(int)
    assert (np.abs(levels - again) <= 1).all()
    assert (levels != again).mean() < 0.01


def test_match_brings_the_distribution_there() -> None:
    one = source(NUMBERS, scale="match")
    sample = one.sample(EVERYWHERE)
    levels = to_8bit(sample.values, measured_scale(MatchScale(), sample.values, mini()))
    for band, seen in zip(levels, mini().bands, strict=True):
        found = np.percentile(band, PERCENTILES)
        assert np.abs(found - seen.percentiles).max() <= 3.0


def test_what_cannot_be_measured_is_said() -> None:
    flat = np.full((3, 500), 7.0, np.float32)
    with pytest.raises(ImageryError, match="nothing but 7 in red"):
        measured_scale(PercentileScale(), flat, None)
    with pytest.raises(ImageryError, match="one value"):
        measured_scale(MatchScale(), flat, mini())
    with pytest.raises(ConfigError, match="does not say what it saw"):
        measured_scale(MatchScale(), flat, None)
    with pytest.raises(ImageryError, match="0 observed pixels"):
        measured_scale(PercentileScale(), np.zeros((3, 0), np.float32), None)


def test_true_colour_is_silent(demo: Levels, tmp_path: Path) -> None:
    assert judge(Sample(demo), None, mini()) == []
    stretched = encodings()[0]
    path = write_encoding(tmp_path, stretched)
    assert remarks(source(path)) == []
    assert remarks(source(path, scale="match")) == []
    assert remarks(source(NUMBERS, nodata=0, scale="auto")) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: 255 - x, "negative"),
        (lambda x: x * 0.1, "almost black"),
        (lambda x: x * 0 + 90, "all of one colour"),
        (lambda x: x * 0.5 + np.array([[95], [102], [112]]), "deviations brighter.*scale: auto"),
        (lambda x: x * 0.1 + 45, "of the contrast"),
        (lambda x: x * 4, "is at 255"),
        (lambda x: np.stack([x[1]] * 3), "grey"),
        (lambda x: np.stack([255 - x[0], x[1], x[2]]), "false colour"),
    ],
)
def test_what_is_off_is_said_in_one_line(demo: Levels, change: object, said: str) -> None:
    assert callable(change)
    changed = np.clip(np.rint(change(demo)), 0, 255).astype(np.float32)
    found = judge(Sample(changed), None, mini())
    assert len(found) == 1
    assert "\n" not in found[0]
    assert re.search(said, found[0]), found


def test_exchanged_red_and_blue_are_said(demo: Levels, tmp_path: Path) -> None:
    line = "looks as if red and blue were exchanged: exchange the first and the third of bands:"
    assert judge(Sample(demo[::-1].copy()), None, mini()) == [line]
    path = write_encoding(tmp_path, encodings()[0])
    assert remarks(source(path, bands=[3, 2, 1])) == [line]
    assert remarks(source(NUMBERS, nodata=0, bands=[3, 2, 1], scale="auto")) == [line]


def test_blue_haze_is_not_called_exchanged(demo: Levels) -> None:
    airlight = np.array([[0.0], [20.0], [50.0]], dtype=np.float32)
    (said,) = judge(Sample(np.clip(demo + airlight, 0, 255)), None, mini())
    assert said.startswith("is bluer than what the model saw: of haze, set scale: auto; or")


def test_false_colour_is_said_however_it_is_stretched() -> None:
    for scale in (None, "auto", "match", {"min": 0, "max": 200}):
        said = remarks(source(FALSE_COLOUR, scale=scale))
        assert any("false colour" in one for one in said), (scale, said)


def test_one_range_for_all_bands_of_landsat_is_said() -> None:
    (said,) = remarks(source(NUMBERS, nodata=0, scale={"min": 5000, "max": 18000}))
    assert "blue has" in said
    assert "set scale: auto" in said
    (said,) = remarks(source(NUMBERS, nodata=0, scale={"min": 0, "max": 18000}))
    assert "deviations brighter" in said


def test_a_collar_of_zeros_is_no_data_and_said() -> None:
    one = source(NUMBERS, scale="auto")
    (said,) = remarks(one)
    assert "exactly 0 in a collar" in said
    assert "taken as no data" in said
    scene = one.coverage[0]
    assert scene.crs is not None
    block = one.measured(one.sample(EVERYWHERE), None).read(
        scene.footprint.bounds, (384, 448), scene.crs
    )
    with rasterio.open(NUMBERS) as image:
        np.testing.assert_array_equal(block.valid, image.read().any(axis=0))
    assert one.identity()["collars"] == [NUMBERS.name]
    assert "collars" not in source(NUMBERS, nodata=0, scale="auto").identity()


def test_a_collar_may_be_kept() -> None:
    one = source(NUMBERS, scale={"min": 5000, "max": 18000}, collar="keep")
    assert any("is that no data? set nodata: 0" in said for said in remarks(one))
    scene = one.coverage[0]
    assert scene.crs is not None
    assert one.read(scene.footprint.bounds, (384, 448), scene.crs).valid.all()
    assert "collars" not in one.identity()


def test_dark_water_within_a_scene_is_no_collar(tmp_path: Path) -> None:
    values = np.full((3, 200, 200), 90, np.uint8)
    values[:, 60:120, 40:160] = 0
    path = write_raster(tmp_path / "lake.tif", RasterSpec(values=values))
    one = source(path)
    assert "collars" not in one.identity()
    scene = one.coverage[0]
    assert scene.crs is not None
    assert one.read(scene.footprint.bounds, (200, 200), scene.crs).valid.all()
    assert any("exactly 0: is that no data" in said for said in remarks(one))


def test_a_white_collar_is_said(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(20, 200, (3, 200, 200)).astype(np.uint8)
    values[:, :30] = 255
    path = write_raster(tmp_path / "white.tif", RasterSpec(values=values))
    assert any("exactly 255 in a collar" in said for said in remarks(source(path)))


def test_runs_at_the_ends_of_rows_are_a_collar() -> None:
    zero = np.zeros((4, 100), bool)
    zero[0] = True
    zero[1, :30], zero[2, 80:], zero[3, 40:60] = True, True, True
    assert run_share(zero) == pytest.approx((100 + 30 + 20) / 400)
    assert run_share(np.eye(100, dtype=bool)) == 0.0


@pytest.mark.parametrize("overviews", [False, True])
def test_a_sample_is_small_and_the_same_each_time(tmp_path: Path, overviews: bool) -> None:
    spec = RasterSpec(shape=(2400, 2400), dtype="uint16", nodata=0)
    path = write_raster(tmp_path / "large.tif", spec)
    if overviews:
        with rasterio.open(path, "r+") as image:
            image.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    one = source(path, scale={"min": 0, "max": 255})
    first, second = one.sample(EVERYWHERE), one.sample(EVERYWHERE)
    assert 10_000 < first.count <= MOST_PIXELS
    np.testing.assert_array_equal(first.values, second.values)
    with rasterio.open(path) as image:
        middle = np.median(image.read(), axis=(1, 2))
    assert np.abs(np.median(first.values, axis=1) - middle).max() < 12


def test_of_many_files_some_are_sampled(tmp_path: Path) -> None:
    for i in range(60):
        values = np.full((3, 20, 20), i + 1, np.uint8)
        write_raster(tmp_path / f"{i:02}.tif", RasterSpec(values=values, shape=(20, 20)))
    entry = source(tmp_path).entry
    assert isinstance(entry, RasterEntry)
    files = open_source(entry)
    assert len(files.coverage) == 60
    sample = sample_files(files.coverage, entry)  # type: ignore[arg-type]
    assert 24 <= len(np.unique(sample.values)) <= 48


def test_a_preset_of_the_wrong_time_is_seen(tmp_path: Path) -> None:
    # Numbers of Sentinel-2 without the 1,000, read as if they had it.
    random = np.random.default_rng(0)
    values = random.normal([[[450.0]], [[600.0]], [[350.0]]], 120, (3, 300, 300))
    numbers = np.clip(values, 50, None).astype(np.uint16)
    spec = RasterSpec(values=numbers, shape=(300, 300), dtype="uint16")
    path = write_raster(tmp_path / "s2.tif", spec)
    assert any(
        "almost" in s or "one colour" in s for s in remarks(source(path, scale="sentinel2-l2a"))
    )


def test_scales_of_a_name_read_as_numbers(tmp_path: Path) -> None:
    spec = RasterSpec(values=np.full((3, 50, 50), 18_182), shape=(50, 50), dtype="uint16")
    path = write_raster(tmp_path / "l2.tif", spec)
    one = source(path, scale="landsat-c2-l2")
    scene = one.coverage[0]
    assert scene.crs is not None
    block = one.read(scene.footprint.bounds, (50, 50), scene.crs)
    assert (block.pixels == round(255 * (0.3 / 0.5) ** (1 / 1.5))).all()
    assert one.scale == ValueScale(min=7272.727273, max=25454.545455, gamma=1.5)
