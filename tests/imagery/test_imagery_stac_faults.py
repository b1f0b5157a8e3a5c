"""Scenes of a STAC API that are not what they say, and what must not get out."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures_sentinel import SceneSpec, item_of, write_items, write_scene_files
from fixtures_servers import serve_app, serve_folder, serve_stac
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from s2s_map.catalog.stac_items import kept
from s2s_map.config.stac import StacEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.stac import StacSource

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


def source_of(*items: dict[str, Any]) -> StacSource:
    return StacSource(entry(), tuple(kept(item, entry()) for item in items), AREA)


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
            timeout=120,
            check=False,
        )
    assert any("sig=" in request for request in files.requests)
    assert end.returncode == 2
    # Libraries say where they failed, without the signature.
    assert "odc.loader" in end.stderr or "east_" in end.stderr
    assert "s3cret" not in end.stdout + end.stderr
    assert asked
    assert not any(asked)
