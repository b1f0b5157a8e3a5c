"""Entries of web tiles: what is refused, and what a template means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fixtures_webtiles import make_entry
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from s2s_map.catalog.catalog import load_catalog
from s2s_map.config.webtiles import XyzEntry
from s2s_map.errors import CatalogError, ConfigError
from s2s_map.imagery.sources.xyz.webtile import (
    WebTile,
    WebTileRange,
    address,
    choose_zoom,
    pixel_size,
)

XYZ = "https://tiles.test/{z}/{x}/{y}.png"


@pytest.mark.parametrize(
    ("url", "fields", "said"),
    [
        ("file:///etc/{z}/{x}/{y}", {}, "not an http or https address"),
        ("/vsicurl/http://a.test/{z}/{x}/{y}", {}, "not an http or https address"),
        ("ftp://a.test/{z}/{x}/{y}", {}, "not an http or https address"),
        ("https:///{z}/{x}/{y}", {}, "not an http or https address"),
        ("https://a.test/{z}/{x}", {}, "needs {z}, {x} and {y}"),
        ("https://a.test/{z}/{x}/{y}/{quadkey}", {}, "needs {z}, {x} and {y}"),
        ("https://a.test/{z}/{x}/{y}?k=${HOME}", {}, "which env: does not list"),
        ("https://${HOST}/{z}/{x}/{y}", {"env": ["HOST"]}, "no variable in the name of the host"),
        ("https://{z}.a.test/{x}/{y}", {}, "in the host's name, not {z}"),
        ("https://{quadkey}.a.test/", {}, "in the host's name, not {quadkey}"),
        ("https://a{-y}.test/{z}/{x}", {}, "in the host's name, not {-y}"),
        ("https://{bbox}/", {}, "in the host's name, not {bbox}"),
        ("https://a.test/{z}/{x}/{y}/{colour}", {}, "unknown place {colour}"),
        ("https://{s}.a.test/{z}/{x}/{y}", {}, "no subdomains"),
        (XYZ, {"headers": {"X-Key": "${HOME}"}}, "headers: use ${HOME}"),
        (XYZ, {"headers": {"X-Key": "a\nHost: b"}}, "takes one line"),
        (XYZ, {"zoom": 3, "min_zoom": 4}, "below min_zoom"),
        (XYZ, {"zoom": 20}, "max_zoom: 19 is below"),
        (XYZ, {"bounds": [10, 0, 5, 1]}, "west, south, east, north"),
        (XYZ, {"blank": {"colour": ["grey"]}}, "not a colour such as"),
        (XYZ, {"blank": {"sha256": ["12"]}}, "not a SHA-256"),
        (XYZ, {"blank": {"header": "X-VE-Tile-Info"}}, "give NAME: VALUE"),
    ],
)
def test_what_cannot_work_is_refused(url: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("{", r"\{").replace("$", r"\$")):
        make_entry(url, **fields)


def test_templates() -> None:
    tile = WebTile(3, 3, 5)
    for url, expected in (
        ("https://a.test/{z}/{x}/{y}", "https://a.test/3/3/5"),
        ("https://a.test/{z}/{x}/{-y}", "https://a.test/3/3/2"),
        ("https://a.test/{quadkey}?k=${KEY}", "https://a.test/213?k=${KEY}"),
        ("https://{s}.a.test/{z}/{x}/{y}", "https://one.a.test/3/3/5"),
        ("https://{switch:t0,t1,t2}.a.test/{z}/{x}/{y}", "https://t2.a.test/3/3/5"),
        ("https://a.test/?t={TileMatrix}&c={TileCol}&r={TileRow}", "https://a.test/?t=3&c=3&r=5"),
    ):
        entry = make_entry(url, env=["KEY"], subdomains=["one", "two"])
        assert address(entry, tile) == expected
    box = address(make_entry("https://a.test/?BBOX={bbox}"), WebTile(0, 0, 0))
    assert box.endswith("BBOX=-20037508.342789,-20037508.342789,20037508.342789,20037508.342789")


def test_turns_are_counted_by_the_host_that_is_asked() -> None:
    hosts = {
        make_entry(url, subdomains=["a", "b"]).host
        for url in (
            "https://{s}.A.test/{z}/{x}/{y}",
            "HTTPS://me:pw@{s}.a.test:443/other/{z}/{x}/{y}",
            "https://{switch:a,b}.a.test/{z}/{x}/{y}",
        )
    }
    assert hosts == {"https://{s}.a.test"}
    assert make_entry("http://a.test:8080/{z}/{x}/{y}").host == "http://a.test:8080"


@given(z=st.integers(1, 22), data=st.data())
def test_quadkeys_and_bounds_lead_back(z: int, data: st.DataObject) -> None:
    x, y = (data.draw(st.integers(0, 2**z - 1)) for _ in range(2))
    tile = WebTile(z, x, y)
    digits = [int(digit) for digit in tile.quadkey]
    assert len(digits) == z
    assert sum((d & 1) << (z - 1 - i) for i, d in enumerate(digits)) == x
    assert sum((d >> 1) << (z - 1 - i) for i, d in enumerate(digits)) == y
    west, south, east, north = tile.bounds
    inset = (east - west) * 0.01
    inside = (west + inset, south + inset, east - inset, north - inset)
    assert WebTileRange.covering(inside, z).webtiles() == [tile]


@given(gsd=st.floats(0.2, 1000.0), south=st.floats(-84.0, 84.0), height=st.floats(0.0, 20.0))
def test_the_level_is_the_coarsest_that_is_fine_enough(
    gsd: float, south: float, height: float
) -> None:
    north = min(south + height, 84.0)
    zoom = choose_zoom(gsd, south, north, 256, (0, 24))
    nearest = 0.0 if south <= 0.0 <= north else min(abs(south), abs(north))
    assert pixel_size(zoom, nearest, 256) <= gsd * 1.1
    if zoom:
        assert pixel_size(zoom - 1, nearest, 256) > gsd * 1.1


def test_the_levels_of_known_imagery() -> None:
    assert choose_zoom(0.6, 50.7, 53.5, 256, (0, 19)) == 18  # Bing over the Netherlands
    assert choose_zoom(0.6, -4.7, 4.6, 256, (0, 19)) == 18  # and Kenya
    assert choose_zoom(10.0, -4.7, 4.6, 256, (0, 15)) == 14  # Sentinel-2 over Kenya
    assert choose_zoom(10.0, 45.8, 47.8, 512, (0, 15)) == 13
    assert choose_zoom(0.2, 52.0, 52.1, 256, (0, 19)) == 19  # as fine as there is


def test_shipped_entries_name_terms_and_keys() -> None:
    found = {n: e for n, e in load_catalog().items() if isinstance(e, XyzEntry)}
    assert set(found) == {"eox_s2cloudless_2020", "azure_maps_imagery", "esri_world_imagery"}
    for entry in found.values():
        assert entry.terms_url
        assert entry.caching
        assert entry.licence_url
    assert found["eox_s2cloudless_2020"].licence == "CC-BY-NC-SA-4.0"
    assert found["azure_maps_imagery"].env == ("AZURE_MAPS_KEY",)
    assert found["esri_world_imagery"].env == ("ARCGIS_API_KEY",)


def test_a_fetched_catalog_cannot_reach_files_or_variables(tmp_path: Path) -> None:
    import yaml
    from fixtures_servers import serve_folder

    entry = {"type": "xyz", "title": "t", "sensor": "bing", "licence": "l", "attribution": "a"}
    for name, url in (
        ("file", "file:///etc/{z}/{x}/{y}"),
        ("path", "/etc/{z}/{x}/{y}"),
        ("home", "https://a.test/{z}/{x}/{y}?k=${HOME}"),
    ):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({name: entry | {"url": url}}))
    with serve_folder(tmp_path) as files:
        for name in ("file", "path", "home"):
            with pytest.raises((CatalogError, ConfigError), match="url:"):
                load_catalog([f"{files.url}/{name}.yaml"])
