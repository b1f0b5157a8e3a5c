"""Scenes of a STAC API that are not what they say, and what must not get out."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rasterio
from fixtures_sentinel import SceneSpec, item_of, write_items, write_scene_files
from fixtures_servers import serve_app, serve_folder, serve_stac
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from s2s_map.catalog.stac_items import kept
from s2s_map.config.catalog import RasterEntry
from s2s_map.config.stac import StacEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.stac.source import StacSource

# rasterio silences it for its own arrays in memory, by a filter that threads do not share well.

SPEC = SceneSpec("east", "EPSG:32632", 267_400.0, 5_155_000.0, tile="32T")
AREA = (5.95, 46.47, 6.05, 46.52)
FIELDS = {
    "type": "stac",
    "title": "t",
    "url": "http://127.0.0.1:9",
    "collection": "sentinel-2-l2a",
    "time": "2020-01-01/2020-12-31",
    "sensor": "sentinel",
    "licence": "l",
    "attribution": "a",
}


def entry(**fields: Any) -> StacEntry:
    return StacEntry.model_validate(FIELDS | fields)


def source_of(*items: dict[str, Any], **fields: Any) -> StacSource:
    return StacSource(entry(**fields), tuple(kept(item, entry()) for item in items), AREA)


@pytest.mark.parametrize("pixel", [10.0, 60.0])
def test_a_truncated_asset_is_a_hole_at_any_pixel(tmp_path: Path, pixel: float) -> None:
    for name in ("whole", "cut"):
        write_scene_files(tmp_path, replace(SPEC, name=name))
    path = tmp_path / "cut_green.tif"
    # Of its pixels, those of overviews come first.
    path.write_bytes(path.read_bytes()[:1800])
    west, south, _, north = SPEC.bounds
    with serve_folder(tmp_path) as files:
        items = [item_of(replace(SPEC, name=name), files.url) for name in ("cut", "whole")]
        block = source_of(*items).read((west, south, west + 3000.0, north), _shape(pixel), SPEC.crs)
    assert [hole.uri for hole in block.holes] == ["sentinel-2-l2a/cut"]
    assert block.holes[0].reason
    assert block.valid.all()


def _shape(pixel: float) -> tuple[int, int]:
    return round(6000.0 / pixel), round(3000.0 / pixel)


def test_an_item_that_is_none_is_a_hole(tmp_path: Path) -> None:
    write_scene_files(tmp_path, SPEC)
    with serve_folder(tmp_path) as files:
        undated, bare = item_of(SPEC, files.url), item_of(SPEC, files.url)
        undated["properties"]["datetime"] = None
        bare |= {"id": "bare"}
        del bare["properties"]["datetime"]
        block = source_of(undated, bare).read(SPEC.bounds, (60, 60), SPEC.crs)
    assert {hole.uri for hole in block.holes} == {"sentinel-2-l2a/east", "sentinel-2-l2a/bare"}
    assert not block.valid.any()


@pytest.mark.parametrize(
    "href", ["/srv/x.tif", "file:///srv/x.tif", "/srv/x.vrt", "/vsizip/x.zip/x.tif", "./x.tif"]
)
def test_an_api_names_no_file_of_this_machine(href: str) -> None:
    item = item_of(SPEC, "https://a.test")
    item["assets"]["green"]["href"] = href
    with pytest.raises(ImageryError, match=r"STAC item east of .* has its green at .*; expected"):
        kept(item, entry())
    # Nor does a search that was kept.
    good = kept(item_of(SPEC, "https://a.test"), entry())
    record = json.loads(json.dumps(StacSource(entry(), (good,), AREA).frozen()))
    assert StacSource(entry()).thaw(record, AREA) is not None
    good["assets"]["green"]["href"] = href
    record = json.loads(json.dumps(StacSource(entry(), (good,), AREA).frozen()))
    assert StacSource(entry()).thaw(record, AREA) is None


def test_no_signature_is_printed_and_the_key_goes_to_its_own_host(tmp_path: Path) -> None:
    asked: list[str | None] = []

    async def token(request: Request) -> JSONResponse:
        asked.append(request.headers.get("ocp-apim-subscription-key"))
        text = "se=2999-01-01&sig=s3cret%2Fsignature%3D"
        return JSONResponse({"token": text, "msft:expiry": "2999-01-01T00:00:00Z"})

    write_scene_files(tmp_path, SPEC)
    with (
        serve_folder(tmp_path) as files,
        serve_app(Starlette(routes=[Route("/token", token)])) as tokens,
        serve_stac(write_items(tmp_path / "items.json", [item_of(SPEC, files.url)])) as api,
    ):
        files.refuse = lambda path, query: True
        mine = {"mine": FIELDS | {"url": api, "token_url": f"{tokens}/token"}}
        (tmp_path / "data_catalog.yaml").write_text(json.dumps(mine))
        line = ["catalog", "check", "mine", "--at", "5.97,46.49"]
        end = subprocess.run(
            [Path(sys.executable).parent / "s2s-map", "--debug", *line],
            cwd=tmp_path,
            env={"PATH": "", "PC_SDK_SUBSCRIPTION_KEY": "key-of-mine"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert any("sig=" in request for request in files.requests)
    assert end.returncode == 2
    # What failed is said, without the signature.
    assert "east_" in end.stdout + end.stderr
    assert "s3cret" not in end.stdout + end.stderr
    assert asked
    assert not any(asked)


def virtual(kind: str, secret: Path, other: str) -> str:
    """Something that is not an image, and has GDAL read elsewhere where it is opened as one."""
    where = f"{other}/{secret.name}"
    source = {"vrt": str(secret), "vrt of another host": f"/vsicurl/{where}"}.get(kind, "")
    if source:
        with rasterio.open(secret) as image:
            rows, cols = image.shape
            geotransform = ", ".join(map(str, image.transform.to_gdal()))
        return (
            f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}"><SRS>EPSG:32632</SRS>'
            f"<GeoTransform>{geotransform}</GeoTransform>"
            '<VRTRasterBand dataType="UInt16" band="1"><NoDataValue>0</NoDataValue>'
            f'<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename>'
            "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
        )
    if kind == "wms":
        return (
            f'<GDAL_WMS><Service name="TMS"><ServerUrl>{where}?${{z}}</ServerUrl></Service>'
            "<DataWindow><UpperLeftX>267400</UpperLeftX><UpperLeftY>5155000</UpperLeftY>"
            "<LowerRightX>273400</LowerRightX><LowerRightY>5149000</LowerRightY>"
            "<SizeX>600</SizeX><SizeY>600</SizeY></DataWindow><Projection>EPSG:32632</Projection>"
            "<BandsCount>1</BandsCount></GDAL_WMS>"
        )
    line = f"gdal raster convert --output-format stream {secret} streamed_dataset"
    return json.dumps({"type": "gdal_streamed_alg", "command_line": line})


@pytest.mark.parametrize("kind", ["vrt", "vrt of another host", "wms", "gdalg"])
@pytest.mark.parametrize("policy", ["nodata", "fail"])
def test_a_server_leads_nowhere_else_by_what_it_serves(
    tmp_path: Path, kind: str, policy: str
) -> None:
    """Neither this machine's files nor other hosts are read, in whichever process."""
    served, private = tmp_path / "served", tmp_path / "private"
    write_scene_files(served, SPEC)
    write_scene_files(private, SPEC)
    secret = private / "east_green.tif"
    with serve_folder(served) as files, serve_folder(private) as other:
        text = virtual(kind, secret, other.url)
        (served / "east_green.tif").write_text(text)
        source = source_of(item_of(SPEC, files.url), on_missing=policy)
        # As a worker of a cluster gets it.
        source = pickle.loads(pickle.dumps(source))  # noqa: S301
        if policy == "fail":
            with pytest.raises(ImageryError, match=r"sentinel-2-l2a/east: .*east_green\.tif"):
                source.read(SPEC.bounds, (60, 60), SPEC.crs)
        else:
            block = source.read(SPEC.bounds, (60, 60), SPEC.crs)
            assert not block.valid.any()
            (hole,) = block.holes
            assert "east_green.tif does not open as a raster" in hole.reason
        assert other.requests == []
        named = {"type": "raster", "title": "t", "sensor": "sentinel", "licence": "l"}
        named |= {"attribution": "a", "uri": f"{files.url}/east_green.tif"}
        with pytest.raises(ImageryError, match="does not open as a raster"):
            open_source(RasterEntry.model_validate(named | {"scale": {"min": 0, "max": 1}}))
        assert other.requests == []


def test_overviews_that_an_image_has_elsewhere_are_not_read(tmp_path: Path) -> None:
    served, private = tmp_path / "served", tmp_path / "private"
    write_scene_files(served, SPEC)
    write_scene_files(private, SPEC)
    path = served / "east_green.tif"
    with rasterio.open(path) as image:
        values, profile = image.read(), image.profile | {"driver": "GTiff"}
    with rasterio.open(path, "w", **profile) as image:
        image.write(values)
        image.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(private / "east_green.tif"))
    with rasterio.open(path) as image:
        # What GDAL does by itself: the danger is real.
        assert image.overviews(1)
    with serve_folder(served) as files:
        block = source_of(item_of(SPEC, files.url)).read(SPEC.bounds, (60, 60), SPEC.crs)
    assert not block.valid.any()
    assert "has its overviews in another file" in block.holes[0].reason
