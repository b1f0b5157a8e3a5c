"""Scenes of a STAC API, end to end over loopback: rustac's API, ranges over HTTP."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from fixtures_sentinel import SceneSpec, item_of, pattern_at, write_items, write_scene_files
from fixtures_servers import FileServer, serve_app, serve_folder, serve_stac
from rasterio.warp import transform_bounds
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from s2s_map.config.stac import StacEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.stac.source import StacSource

# Around 6 degrees east, the edge of zones 31 and 32, at 46.5 degrees north. Zone 31 reaches three
# kilometres into zone 32 and the other way round, as Sentinel-2's tiles do.
EAST = SceneSpec("east", "EPSG:32632", 267_400.0, 5_155_000.0, tile="32T")
WEST = SceneSpec("west", "EPSG:32631", 726_500.0, 5_155_400.0, tile="31T")


def half(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Clouds over the northern half."""
    return rows < rows.max() // 2


SPECS = [
    EAST,
    WEST,
    # A cloudy one whose numbers carry the offset of baseline 04.00.
    replace(
        EAST,
        name="later",
        offset=-1000,
        cloud=8.0,
        clouds=half,
        day="2022-06-03T10:00:00Z",
        properties={"s2:processing_baseline": "04.00"},
    ),
    replace(EAST, name="overcast", cloud=90.0, day="2020-06-05T10:00:00Z"),
]


@dataclass
class Api:
    url: str
    files: FileServer
    folder: Path


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("sentinel")
    for spec in SPECS:
        write_scene_files(folder, spec)
    with serve_folder(folder) as files:
        items = [item_of(spec, files.url) for spec in SPECS]
        del items[2]["assets"]["blue"]["proj:shape"]  # as some providers
        broken = item_of(
            replace(EAST, name="gone", tile="32S", day="2021-06-03T10:00:00Z"), files.url
        )
        bare = item_of(
            replace(EAST, name="bare", tile="32R", day="2021-07-03T10:00:00Z"), files.url
        )
        del bare["assets"]["green"]
        path = write_items(folder / "items.json", [*items, broken, bare])
        with serve_stac(path) as url:
            yield Api(url, files, folder)


def make_entry(api: Api, **fields: object) -> StacEntry:
    known: dict[str, object] = {
        "type": "stac",
        "title": "t",
        "url": api.url,
        "collection": "sentinel-2-l2a",
        "time": "2020-01-01/2020-12-31",
        "sensor": "sentinel",
        "licence": "l",
        "attribution": "a",
        # Linear: reflectance is read back from the pixels.
        "scale": {"min": 0.0, "max": 1.0},
    }
    return StacEntry.model_validate(known | fields)


AREA = (5.95, 46.47, 6.05, 46.52)


def frozen(entry: StacEntry) -> StacSource:
    return StacSource(entry).freeze(AREA)


def target(crs: str, spec: SceneSpec, inset: float = 500.0) -> tuple[float, float, float, float]:
    west, south, east, north = transform_bounds(spec.crs, crs, *spec.bounds)
    edges = (west + inset, south + inset, east - inset, north - inset)
    return tuple(round(edge / 100.0) * 100.0 for edge in edges)  # type: ignore[return-value]


def shape_of(bounds: tuple[float, float, float, float], pixel: float) -> tuple[int, int]:
    return round((bounds[3] - bounds[1]) / pixel), round((bounds[2] - bounds[0]) / pixel)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:32631", "EPSG:3035"])
@pytest.mark.parametrize("pixel", [10.0, 12.5, 50.0])
def test_two_zones_show_one_continuous_pattern(api: Api, crs: str, pixel: float) -> None:
    source = frozen(make_entry(api))
    assert {item["id"] for item in source.items or ()} == {"east", "west"}
    west, south, east, north = target(crs, WEST)
    east = target(crs, EAST)[2]
    bounds = (west, south + 500.0, east, north - 500.0)
    shape = shape_of(bounds, pixel)
    block = source.read(bounds, shape, crs)
    # Where both zones leave off is outside; all between is seen.
    inner = np.s_[shape[0] // 4 : -shape[0] // 4, shape[1] // 8 : -shape[1] // 8]
    assert block.valid[inner].all()
    error = np.abs(block.pixels - 255.0 * pattern_at(bounds, shape, crs))[:, block.valid]
    # Two roundings and cubic resampling of a wave of 1.5 km, 0.43 a metre at its steepest. The mean
    # of 50 m at a scene's edge may be that of half the pixel, a quarter of it off its centre.
    assert error.max() <= (3.0 if pixel < 50.0 else 0.43 * 12.5 + 2.0)
    assert np.median(error) <= 1.0
    assert not block.holes


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:3035"])
def test_a_pixel_is_the_same_whichever_block_it_is_read_for(api: Api, crs: str) -> None:
    source = frozen(make_entry(api))
    west, south, east, north = target(crs, EAST)
    bounds = (west - 3000.0, south, east, north)
    shape = shape_of(bounds, 12.5)
    whole = source.read(bounds, shape, crs)
    rows, cols = slice(60, 200), slice(100, 330)
    part = (
        bounds[0] + cols.start * 12.5,
        bounds[3] - rows.stop * 12.5,
        bounds[0] + cols.stop * 12.5,
        bounds[3] - rows.start * 12.5,
    )
    block = source.read(part, (140, 230), crs)
    assert block.pixels.tobytes() == whole.pixels[:, rows, cols].tobytes()
    assert block.valid.tobytes() == whole.valid[rows, cols].tobytes()


@pytest.mark.parametrize("method", ["median", "best"])
def test_clouds_and_offsets_leave_no_trace(api: Api, method: str) -> None:
    entry = make_entry(api, time="2020-01-01/2022-12-31", composite=method, max_per_tile=9)
    source = frozen(entry)
    assert "later" in {item["id"] for item in source.items or ()}
    assert "overcast" not in {item["id"] for item in source.items or ()}
    bounds = target("EPSG:32632", EAST)
    shape = shape_of(bounds, 10.0)
    block = source.read(bounds, shape, "EPSG:32632")
    assert block.valid.all()
    expected = 255.0 * pattern_at(bounds, shape, "EPSG:32632")
    assert np.abs(block.pixels - expected).max() <= 1.0


def test_scenes_that_cannot_be_read_are_holes_with_a_reason(api: Api) -> None:
    entry = make_entry(api, time="2021-01-01/2021-12-31")
    bounds = target("EPSG:32632", EAST)
    block = frozen(entry).read(bounds, shape_of(bounds, 10.0), "EPSG:32632")
    assert not block.valid.any()
    reasons = {hole.uri: hole.reason for hole in block.holes}
    assert reasons["sentinel-2-l2a/bare"] == "no asset green"
    assert "404" in reasons["sentinel-2-l2a/gone"]
    with pytest.raises(ImageryError, match="on_missing: nodata to go on"):
        frozen(make_entry(api, time="2021-01-01/2021-12-31", on_missing="fail")).read(
            bounds, shape_of(bounds, 10.0), "EPSG:32632"
        )


def test_a_frozen_search_comes_back_and_needs_no_api(api: Api) -> None:
    source = frozen(make_entry(api))
    record = json.loads(json.dumps(source.frozen()))
    asked = open_source(make_entry(api))
    assert asked.needs_freezing
    again = asked.thaw(record, AREA)
    assert again is not None
    assert again.identity() == source.identity()
    assert again.entry.time == "2020-01-01/2020-12-31"
    for changed in ({"max_cloud": 3.0}, {"time": "2020-01-01/2020-11-30"}):
        assert open_source(make_entry(api, **changed)).thaw(record, AREA) is None
    assert asked.thaw(record, (5.9, *AREA[1:])) is None
    record["features"][0]["properties"]["eo:cloud_cover"] = 7
    assert asked.thaw(record, AREA) is None
    pickled = pickle.loads(pickle.dumps(source))  # noqa: S301
    assert pickled.identity() == source.identity()


def test_before_the_search_it_plans_and_does_not_read(api: Api) -> None:
    source = open_source(make_entry(api))
    bounds = target("EPSG:32632", EAST)
    area = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
    assert source.bytes_estimate(bounds, "EPSG:32632") > area / 100.0 * 6 * 8
    assert source.identity()["items_sha256"] is None
    assert "searched when the run starts" in source.describe()
    known = frozen(make_entry(api))
    assert "median of 2 scenes" in known.describe()
    read = known.bytes_estimate(bounds, "EPSG:32632")
    assert area / 100.0 * 6 <= read <= area / 100.0 * 14
    with pytest.raises(RuntimeError, match="frozen"):
        source.read(bounds, (10, 10), "EPSG:32632")


def test_nothing_found_and_no_api_are_said(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2s_map.catalog.stac_search.RETRIES", 0)
    with pytest.raises(ImageryError, match=r"no scenes of sentinel-2-l2a .*; widen time:"):
        frozen(make_entry(api, time="2019-01-01/2019-01-31"))
    with pytest.raises(ImageryError, match=r"all \d+ are cloudier|no scenes of"):
        frozen(make_entry(api, time="2020-06-05/2020-06-05"))
    with pytest.raises(ImageryError, match=r"STAC API http://127\.0\.0\.1:9 does not answer"):
        frozen(make_entry(api, url="http://127.0.0.1:9"))
    with pytest.raises(ImageryError, match="does not answer as one"):
        frozen(make_entry(api, url=f"{api.files.url}/items.json"))


def test_memory_is_bounded_by_strips(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    source = frozen(make_entry(api))
    bounds = target("EPSG:32632", EAST)
    whole = source.read(bounds, shape_of(bounds, 10.0), "EPSG:32632")
    # Seven rows at a time.
    monkeypatch.setattr("s2s_map.imagery.sources.stac.zone.STRIP_BYTES", 19 * 510 * 7)
    strips = source.read(bounds, shape_of(bounds, 10.0), "EPSG:32632")
    assert strips.pixels.tobytes() == whole.pixels.tobytes()


def test_an_expired_signature_is_renewed_half_way(api: Api) -> None:
    count = [0]

    async def token(request: Request) -> JSONResponse:
        count[0] += 1
        return JSONResponse(
            {"token": f"sig=s3cret{count[0]}", "msft:expiry": "2999-01-01T00:00:00Z"}
        )

    app = Starlette(routes=[Route("/token/{collection}", token)])
    bounds = target("EPSG:32632", EAST)
    with serve_app(app) as url:
        source = frozen(make_entry(api, token_url=url + "/token/{collection}"))
        assert "s3cret" not in json.dumps(source.frozen())
        # The first token is refused, as one that has expired early is.
        api.files.refuse = lambda path, query: query != "sig=s3cret2"
        try:
            block = source.read(bounds, shape_of(bounds, 10.0), "EPSG:32632")
            assert block.valid.all()
            assert not block.holes
            # Another scene: GDAL keeps what it has read of an address.
            later = make_entry(
                api, token_url=url + "/token/{collection}", time="2022-01-01/2022-12-31"
            )
            source = frozen(later)
            api.files.refuse = lambda path, query: True
            block = source.read(bounds, shape_of(bounds, 10.0), "EPSG:32632")
        finally:
            api.files.refuse = lambda path, query: False
    assert not block.valid.any()
    assert block.holes
    assert "s3cret" not in str(block.holes)
