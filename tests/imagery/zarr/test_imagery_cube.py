"""Cubes of imagery in Zarr, plain and EOPF, here, over HTTP and on S3."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from fixtures_cubes import (
    BOUNDS,
    NORTH,
    PIXEL,
    SIDE,
    UTM,
    WEST,
    consolidate,
    coordinates,
    plain_cube,
    reflectance,
    write_cube,
    write_eopf,
)
from fixtures_sentinel import pattern_at
from fixtures_servers import serve_folder
from pydantic import ValidationError
from pyproj import CRS

from s2s_map.catalog.catalog import load_catalog
from s2s_map.config.cube import ZarrEntry
from s2s_map.errors import CatalogError, ImageryError
from s2s_map.imagery.checking import check_source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.zarr import zone as cube_zone
from s2s_map.imagery.sources.zarr.source import ZarrSource

SHAPE = (SIDE, SIDE)
AREA = (7.6, 46.9, 7.8, 47.0)


def make_entry(*uris: object, **fields: object) -> ZarrEntry:
    known: dict[str, object] = {"type": "zarr", "title": "t", "sensor": "sentinel", "licence": "l"}
    return ZarrEntry.model_validate(
        known | {"attribution": "a", "uri": tuple(map(str, uris))} | fields
    )


def opened(*uris: object, **fields: object) -> ZarrSource:
    source = open_source(make_entry(*uris, **fields))
    assert isinstance(source, ZarrSource)
    return source


def linear(scaled: float = 1.0) -> dict[str, float]:
    return {"min": 0.0, "max": scaled}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_plain_cube_reads_as_it_is(tmp_path: Path, zarr_format: int) -> None:
    source = opened(write_cube(plain_cube(), tmp_path / "c.zarr", zarr_format))
    assert source.describe() == "1 cube"
    assert str(source.crs) == UTM
    block = source.read(BOUNDS, SHAPE, UTM)
    assert block.valid.all()
    assert np.array_equal(block.pixels, np.rint(reflectance() * 255.0))
    assert source.bytes_estimate(BOUNDS, UTM) == 3 * SIDE * SIDE
    again = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert again.read(BOUNDS, SHAPE, UTM).pixels.tobytes() == block.pixels.tobytes()
    json.dumps(source.identity())


@pytest.mark.parametrize("crs", [UTM, "EPSG:3035"])
@pytest.mark.parametrize("pixel", [10.0, 12.5, 35.0])
def test_it_resamples_and_warps_to_the_pattern(tmp_path: Path, crs: str, pixel: float) -> None:
    source = opened(write_cube(plain_cube(), tmp_path / "c.zarr"))
    middle = (4_140_000.0, 2_650_000.0) if crs != UTM else (WEST + 1200.0, NORTH - 1200.0)
    if crs != UTM:
        from rasterio.warp import transform_bounds

        there = transform_bounds(UTM, crs, *BOUNDS)
        middle = (round((there[0] + there[2]) / 2), round((there[1] + there[3]) / 2))
    half = pixel * 20
    bounds = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    block = source.read(bounds, (40, 40), crs)
    assert block.valid.all()
    assert np.abs(block.pixels - 255.0 * pattern_at(bounds, (40, 40), crs)).max() <= 5.0
    part = (bounds[0] + 7 * pixel, bounds[1] + 5 * pixel, bounds[2], bounds[3])
    assert np.array_equal(source.read(part, (35, 33), crs).pixels, block.pixels[:, :35, 7:])


def test_degrees_warp_too(tmp_path: Path) -> None:
    lon, lat = 7.70 + np.arange(300) * 1e-4, 46.93 - np.arange(260) * 1e-4
    ramp = np.broadcast_to((np.arange(300) * 0.5).astype(np.uint8), (3, 260, 300))
    dataset = xr.Dataset(
        {"rgb": (("band", "lat", "lon"), ramp.copy())}, {"lat": lat[::-1], "lon": lon}
    )
    path = write_cube(dataset, tmp_path / "d.zarr")
    source = opened(path, variable="rgb", crs="EPSG:4326")
    # Rows run north in the store, and all rows are the same; columns rise to the east.
    bounds = (402_000.0, 5_197_000.0, 403_000.0, 5_198_000.0)
    block = source.read(bounds, (50, 50), UTM)
    assert block.valid.all()
    assert (np.diff(block.pixels[0, 25].astype(int)) >= 0).all()
    assert len(np.unique(block.pixels[0, 25])) > 30


def test_eopf_products_are_known_by_their_layout(tmp_path: Path) -> None:
    clouds = np.zeros((SIDE // 2, SIDE // 2), np.bool_)
    clouds[:40, :60] = True
    cloudy = write_eopf(tmp_path / "cloudy.zarr", clouds)
    source = opened(cloudy, scale=linear())
    assert source.entry.time == "2025-05-22T12:50:39"
    block = source.read(BOUNDS, SHAPE, UTM)
    seen = ~np.repeat(np.repeat(clouds, 2, 0), 2, 1)
    assert np.array_equal(block.valid, seen)
    assert np.abs(block.pixels - 255.0 * reflectance())[:, seen].max() <= 0.6
    assert opened(cloudy, clear=[]).read(BOUNDS, SHAPE, UTM).valid.all()
    # The clear one fills what the first does not see; by default as true colour.
    both = opened(cloudy, write_eopf(tmp_path / "clear.zarr", zarr_format=3)).read(
        BOUNDS, SHAPE, UTM
    )
    assert both.valid.all()
    wanted = 255.0 * np.clip(reflectance() / 0.5, 0.0, 1.0) ** (1 / 1.5)
    assert np.abs(both.pixels - wanted).max() <= 0.6


def test_dark_water_is_not_missing_and_missing_is_not_black(tmp_path: Path) -> None:
    path = write_eopf(tmp_path / "e.zarr")
    root = zarr.open_group(path, mode="r+", use_consolidated=False)
    for name in ("b02", "b03", "b04"):
        root[f"measurements/reflectance/r10m/{name}"][:10, :10] = 0
    root["measurements/reflectance/r10m/b04"][20:30, :10] = 0
    # A chunk that was never written.
    for name in ("b02", "b03", "b04"):
        shutil.rmtree(path / f"measurements/reflectance/r10m/{name}/2.2", ignore_errors=True)
        (path / f"measurements/reflectance/r10m/{name}/2.2").unlink(missing_ok=True)
    block = opened(path, scale=linear()).read(BOUNDS, SHAPE, UTM)
    assert not block.valid[:10, :10].any()
    assert block.valid[20:30, :10].all()
    assert not block.pixels[0, 20:30, :10].any()
    assert block.pixels[1:, 20:30, :10].all()
    assert not block.valid[200:, 200:].any()
    assert block.valid[:200, 20:].all()


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Three times, float bands: 0.2 with a gap, 0.4, and 0.9 of next year."""
    values = (
        np.ones((3, 3, SIDE, SIDE), np.float32) * np.array([0.2, 0.4, 0.9])[:, None, None, None]
    )
    values[0, :, :50, :50] = np.nan
    times = np.array(["2024-06-01", "2024-07-01", "2025-06-01"], "datetime64[ns]")
    labels = ["blue", "green", "red"]
    dataset = xr.Dataset(
        {"sr": (("time", "band", "y", "x"), values.astype(np.float32))},
        {**coordinates(), "time": times, "band": labels},
        {"proj:code": UTM},
    )
    return write_cube(dataset, tmp_path / "series.zarr")


def value(source: ZarrSource, row: int, col: int) -> int:
    block = source.read(BOUNDS, SHAPE, UTM)
    return int(block.pixels[0, row, col]) if block.valid[row, col] else -1


def test_times_are_chosen(series: Path) -> None:
    def at(time: str) -> ZarrSource:
        return opened(
            series, variable="sr", bands=["red", "green", "blue"], scale=linear(), time=time
        )

    assert value(at("2024-06-01"), 100, 100) == 51
    assert value(at("2024-06-01"), 10, 10) == -1
    year = at("2024-01-01/2024-12-31")
    assert value(year, 100, 100) == 76
    assert value(year, 10, 10) == 102
    assert year.entry.time == "2024-06-01T00:00:00/2024-07-01T00:00:00"
    assert "median of 2 times" in year.describe()
    assert year.bytes_estimate(BOUNDS, UTM) == 3 * SIDE * SIDE * 4 * 2
    assert value(at("latest"), 100, 100) == 230
    with pytest.raises(ImageryError, match=r"nothing of 2023-01-01; expected 3 times from 2024-06"):
        at("2023-01-01")
    with pytest.raises(ImageryError, match=r"has 3 times .* add time:"):
        opened(series, variable="sr", scale=linear())


def test_strips_change_nothing(series: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(series, variable="sr", scale=linear(), time="2024-01-01/2025-12-31")
    whole = source.read(BOUNDS, SHAPE, UTM)
    monkeypatch.setattr(cube_zone, "STRIP_BYTES", 1)
    strips = source.read(BOUNDS, SHAPE, UTM)
    assert whole.pixels.tobytes() == strips.pixels.tobytes()
    assert whole.valid.tobytes() == strips.valid.tobytes()


def test_the_latest_stays_the_latest_of_the_first_run(series: Path) -> None:
    entry = make_entry(series, variable="sr", scale=linear(), time="latest")
    source = open_source(entry)
    assert source.needs_freezing
    record = json.loads(json.dumps(source.freeze(AREA).frozen()))
    old = xr.open_zarr(series, consolidated=False).load()
    new = old.isel(time=[-1]).assign_coords(time=np.array(["2025-07-01"], "datetime64[ns]")) * 0
    shutil.rmtree(series)
    write_cube(xr.concat([old, new.assign_attrs(old.attrs)], "time"), series)
    later = open_source(entry)
    assert later.entry.time == "2025-07-01T00:00:00"
    again = later.thaw(record, AREA)
    assert again is not None
    assert again.entry.time == "2025-06-01T00:00:00"
    assert again.identity()["cubes"][0]["times"] == ["2025-06-01T00:00:00"]
    assert value(again, 100, 100) == 230  # type: ignore[arg-type]
    assert later.thaw({"type": "FeatureCollection"}, AREA) is None
    record["s2s_map:times"]["times"] = [["2020-01-01T00:00:00"]]
    assert later.thaw(record, AREA) is None


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, series: Path) -> None:
    plain = write_cube(plain_cube(), tmp_path / "c.zarr")
    eopf = write_eopf(tmp_path / "e.zarr")
    bare = write_cube(plain_cube().drop_vars("spatial_ref"), tmp_path / "bare.zarr")
    uneven = plain_cube().assign_coords(x=WEST + np.arange(SIDE) ** 1.1)
    for message, source, fields in (
        (r"no Zarr store at .*absent", tmp_path / "absent", {}),
        (r"no Zarr store at", tmp_path, {}),
        (r"no variable b08; expected one of blue, green, red; correct", plain,
         {"bands": ["b08", "green", "blue"]}),
        (r"has no group r11m; expected one of conditions/mask/.*, measurements/ref", eopf,
         {"group": "r11m"}),
        (r"no variable b11; expected one of b02, b03, b04", eopf, {"bands": ["b11", "b03", "b02"]}),
        (r"does not say its CRS; .*state it: crs:", bare, {}),
        (r"the CRS EPSG:99 ", bare, {"crs": "EPSG:99"}),
        (r"x of .* is not evenly spaced", write_cube(uneven, tmp_path / "uneven.zarr"), {}),
        (r"float32 values; expected 8 bit, or a scale", series,
         {"variable": "sr", "time": "latest"}),
        (r"sr of .* has no band nir; expected one of blue, green, red", series,
         {"variable": "sr", "time": "latest", "bands": ["nir", "red", "blue"]}),
        (r"has no band 7; expected one of", series,
         {"variable": "sr", "time": "latest", "bands": [7, 1, 2]}),
        (r"dimensions time, band, y, x", series, {"bands": ["sr", "sr", "sr"], "scale": linear()}),
        (r"has no times; leave time: latest out", plain, {"time": "latest"}),
    ):  # fmt: skip
        with pytest.raises(ImageryError) as error:
            opened(source, **fields)
        assert re.search(message, str(error.value))
        assert "\n" not in str(error.value)
    for fields in ({"bands": [1, 2, 3]}, {"uri": "https://h/c.zarr?sig=x"}, {"uri": " "}):
        with pytest.raises(ValidationError):
            make_entry(plain, **fields)
    with pytest.raises(CatalogError, match="the address file:///c"):
        opened("file:///c.zarr")


def test_what_was_never_written_is_no_data(tmp_path: Path) -> None:
    path = write_cube(plain_cube(), tmp_path / "c.zarr")
    for name in ("red", "green", "blue"):
        (path / name / "c/0/1").unlink()
    (path / "red/c/1/0").unlink()
    block = opened(path).read(BOUNDS, SHAPE, UTM)
    assert not block.valid[:100, 100:200].any()
    assert block.valid[100:].all()
    pixels = np.rint(reflectance() * 255.0).astype(np.uint8)
    pixels[:, :50, :50] = 7
    marked = write_cube(plain_cube(pixels), tmp_path / "marked.zarr")
    block = opened(marked, nodata=7).read(BOUNDS, SHAPE, UTM)
    assert not block.valid[:50, :50].any()
    assert block.valid.sum() == SIDE * SIDE - 50 * 50


def test_a_broken_chunk_is_a_hole(tmp_path: Path) -> None:
    path = write_cube(plain_cube(), tmp_path / "c.zarr")
    (path / "green/c/1/1").write_bytes(b"<html>not here</html>")
    with pytest.raises(ImageryError, match=r"c\.zarr: .* cannot be read .*on_missing: nodata"):
        opened(path).read(BOUNDS, SHAPE, UTM)
    block = opened(path, on_missing="nodata").read(BOUNDS, SHAPE, UTM)
    assert [hole.uri for hole in block.holes] == [str(path)]
    assert not block.valid.any()
    whole = write_cube(plain_cube(), tmp_path / "whole.zarr")
    both = opened(path, tmp_path / "gone.zarr", whole, on_missing="nodata")
    assert both.describe() == "2 cubes"
    block = both.read(BOUNDS, SHAPE, UTM)
    assert block.valid.all()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_over_http_only_what_is_needed_is_fetched(tmp_path: Path, zarr_format: int) -> None:
    path = write_cube(plain_cube(), tmp_path / "c.zarr", zarr_format)
    here = opened(path)
    with serve_folder(tmp_path) as files:
        source = opened(f"{files.url}/c.zarr")
        part = (BOUNDS[0], BOUNDS[3] - 90 * PIXEL, BOUNDS[0] + 90 * PIXEL, BOUNDS[3])
        files.requests.clear()
        block = source.read(part, (90, 90), UTM)
        chunks = [r for r in files.requests if not r.endswith(("json", ".zattrs", ".zarray"))]
        assert len(chunks) == 3
        assert np.array_equal(block.pixels, here.read(part, (90, 90), UTM).pixels)
        assert source.identity()["cubes"][0]["store"] == f"{files.url}/c.zarr"
        with pytest.raises(ImageryError, match=r"no Zarr store at http://127\.0\.0\.1:\d+/absent"):
            opened(f"{files.url}/absent.zarr")
        eopf = opened(f"{files.url}/{write_eopf(tmp_path / 'e.zarr').name}")
        assert eopf.read(BOUNDS, SHAPE, UTM).valid.all()


def test_a_server_that_is_gone_or_fails_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with pytest.raises(ImageryError, match=r"http://127\.0\.0\.1:9/c\.zarr cannot be read"):
        opened("http://127.0.0.1:9/c.zarr")
    write_cube(plain_cube(), tmp_path / "c.zarr")
    with serve_folder(tmp_path) as files:
        source = opened(f"{files.url}/c.zarr", on_missing="nodata")
        files.refuse = lambda path, query: "green" in path
        block = source.read(BOUNDS, SHAPE, UTM)
    assert not block.valid.any()
    assert "403" in block.holes[0].reason


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cret-of-the-bucket",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    yield f"http://{host}:{port}"
    server.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_cube_on_s3(tmp_path: Path, bucket: str) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=bucket)
    client.create_bucket(Bucket="cubes")
    path = write_cube(plain_cube(), tmp_path / "c.zarr")
    for file in path.rglob("*"):
        if file.is_file():
            client.upload_file(str(file), "cubes", f"a/{file.relative_to(tmp_path).as_posix()}")
    source = opened("s3://cubes/a/c.zarr", env=["AWS_SECRET_ACCESS_KEY"])
    block = source.read(BOUNDS, SHAPE, UTM)
    assert np.array_equal(block.pixels, opened(path).read(BOUNDS, SHAPE, UTM).pixels)
    with pytest.raises(ImageryError, match=r"s3://cubes/absent\.zarr") as error:
        opened("s3://cubes/absent.zarr")
    assert "s3cret" not in str(error.value) + repr(source.identity())


def test_checking_and_the_catalog_file(tmp_path: Path) -> None:
    write_cube(plain_cube(), tmp_path / "c.zarr")
    (tmp_path / "data_catalog.yaml").write_text(
        "cube:\n  type: zarr\n  title: t\n  uri: c.zarr\n  sensor: sentinel\n  licence: l\n"
        "  attribution: a\n"
    )
    entry = load_catalog([tmp_path / "data_catalog.yaml"])["cube"]
    found = list(check_source(entry))
    assert all(works for works, _ in found)
    text = " ".join(what for _, what in found)
    for word in ("opens: 1 cube", UTM, "3 bands of uint8", "100%", "values: red"):
        assert word in text


def test_unconsolidated_metadata_will_do_here(tmp_path: Path) -> None:
    path = tmp_path / "c.zarr"
    plain_cube().to_zarr(path, consolidated=False, zarr_format=3)
    assert opened(path).read(BOUNDS, SHAPE, UTM).valid.all()
    consolidate(path, 3)


def test_where_a_cube_lies_is_part_of_its_identity(tmp_path: Path) -> None:
    moved = plain_cube().assign_coords(x=plain_cube()["x"] + 1000.0)
    zoned = plain_cube().assign_coords(spatial_ref=xr.DataArray(0, attrs=CRS("EPSG:32631").to_cf()))
    stores = [
        write_cube(cube, tmp_path / name / "c.zarr")
        for name, cube in {"a": plain_cube(), "b": moved, "c": zoned}.items()
    ]
    told = {json.dumps(opened(store).identity()) for store in stores}
    assert len(told) == 3


def test_times_of_an_interval_are_those_of_its_zone_and_whole_days(tmp_path: Path) -> None:
    values = np.rint(np.stack([reflectance()] * 3) * 255.0).astype(np.uint8)
    times = ["2024-05-01T22:30", "2024-05-02T10:00", "2024-05-02T23:59:59.700000123"]
    dataset = xr.Dataset(
        {"rgb": (("time", "band", "y", "x"), values)},
        {"time": np.array(times, "datetime64[ns]"), **coordinates()},
        {"proj:code": UTM},
    )
    store = write_cube(dataset, tmp_path / "c.zarr")

    def steps(time: str) -> tuple[int, ...]:
        return opened(store, variable="rgb", time=time).cubes[0].steps

    assert steps("2024-05-02") == (1, 2)
    # Midnight in Berlin is 22:00 UTC.
    assert steps("2024-05-02T00:00+02:00/2024-05-02T12:00+02:00") == (0, 1)


def test_a_product_without_classes_says_that_clouds_count(tmp_path: Path) -> None:
    store = write_eopf(tmp_path / "e.zarr")
    assert "clouds count" not in opened(store).describe()
    shutil.rmtree(store / "conditions/mask/l2a_classification/r20m")
    (store / ".zmetadata").unlink()
    assert "no scene classification: clouds count as seen" in opened(store).describe()
    assert "clouds count" not in opened(store, clear=[]).describe()
