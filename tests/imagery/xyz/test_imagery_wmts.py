"""WMTS by its capabilities: recorded ones of real servers, tiles on loopback, hostile ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fixtures_sentinel import pattern_at
from fixtures_webtiles import make_entry
from fixtures_wmts import DENOMINATORS, RECORDED, SETS, WmtsServer, serve_wmts
from pyproj import Transformer
from rasterio.warp import transform_bounds

from s2s_map.config.webtiles import XyzEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.checking import check_source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.xyz.capabilities import parse_capabilities
from s2s_map.imagery.sources.xyz.levels import level_of
from s2s_map.imagery.sources.xyz.source import XyzSource
from s2s_map.imagery.sources.xyz.wmts import entry_from

pytestmark = pytest.mark.usefixtures("webtile_cache")

AREA = (6.0, 46.47, 6.06, 46.5)
IGN, LMES = "ORTHOIMAGERY.ORTHOPHOTOS", "geonode:LMEs_64"


def entry_of(address: str, **fields: object) -> XyzEntry:
    return make_entry("", capabilities=address, **fields)


def served(server: WmtsServer, **fields: object) -> XyzSource:
    source = open_source(entry_of(f"{server.url}/WMTSCapabilities.xml", **fields)).over(AREA)
    assert isinstance(source, XyzSource)
    return source


def bounds_in(crs: str, pixel: float) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    west, south, east, north = transform_bounds("EPSG:4326", crs, *AREA)
    cols, rows = int((east - west) / pixel), int((north - south) / pixel)
    x, y = round(west / pixel) * pixel, round(south / pixel) * pixel
    return (x, y, x + cols * pixel, y + rows * pixel), (rows, cols)


CASES = [
    ("ign_geoportail", IGN, "LAMB93", "13"),
    ("ign_geoportail", IGN, None, "14"),
    ("geoserver", LMES, "EPSG:900913", "EPSG:900913:14"),
    ("geoserver", LMES, "EPSG:4326", "EPSG:4326:13"),
]


@pytest.mark.parametrize(("document", "layer", "matrix_set", "level"), CASES)
@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:2154"])
def test_tiles_of_any_matrix_set_become_the_pattern(
    document: str, layer: str, matrix_set: str | None, level: str, crs: str
) -> None:
    with serve_wmts(document) as server:
        source = served(server, layer=layer, matrix_set=matrix_set, sensor=_sensor(document, level))
        bounds, shape = bounds_in(crs, 12.5)
        block = source.read(bounds, shape, crs)
        reads = source.requests([(bounds, shape)], crs)
    assert not block.holes
    assert block.valid.all()
    assert {tile["TILEMATRIX"] for tile in server.tiles} == {level}
    assert {tile["LAYER"] for tile in server.tiles} == {layer}
    places = [(tile["TILEROW"], tile["TILECOL"]) for tile in server.tiles]
    assert len(places) == len(set(places))
    assert reads is not None
    assert reads.count == len(places)
    error = np.abs(block.pixels - 255.0 * pattern_at(bounds, shape, crs))
    # Roundings and cubic resampling of a wave of 1.5 km, from pixels of up to 19 m.
    assert error.max() <= 4.0
    said = source.describe()
    assert f"layer {layer}" in said
    assert f"level {level}" in said


def _sensor(document: str, level: str) -> dict[str, float]:
    wanted = {"13": 13.0, "14": 10.0, "EPSG:900913:14": 10.0, "EPSG:4326:13": 10.0}[level]
    return {"gsd_m": wanted, "patch_m": 1280.0}


def test_a_pixel_is_the_same_whichever_block_it_is_read_for() -> None:
    with serve_wmts("ign_geoportail") as server:
        source = served(server, layer=IGN, matrix_set="LAMB93", sensor=_sensor("", "13"))
        bounds, shape = bounds_in("EPSG:3035", 10.0)
        whole = source.read(bounds, shape, "EPSG:3035")
        rows, cols = slice(31, 97), slice(45, 99)
        part = (
            bounds[0] + cols.start * 10.0,
            bounds[3] - rows.stop * 10.0,
            bounds[0] + cols.stop * 10.0,
            bounds[3] - rows.start * 10.0,
        )
        block = source.read(part, (rows.stop - rows.start, cols.stop - cols.start), "EPSG:3035")
    assert block.pixels.tobytes() == whole.pixels[:, rows, cols].tobytes()


@pytest.mark.parametrize(("document", "layer", "matrix_set", "level"), CASES)
def test_levels_lie_where_the_standard_puts_them(
    document: str, layer: str, matrix_set: str | None, level: str
) -> None:
    content = (RECORDED / f"{document}.xml").read_bytes()
    entry = entry_of("http://geonode.iwlearn.org/x", layer=layer, matrix_set=matrix_set)
    if document.startswith("ign"):
        entry = entry.model_copy(update={"capabilities": "https://wxs.ign.fr/x"})
    known = entry_from(entry, parse_capabilities(content, "x"))
    assert known.grid is not None
    crs, unit, west, north, side = SETS[known.grid.matrix_set]
    assert known.tile_px == side
    zoom = [one.id for one in known.grid.levels].index(level)
    found = level_of(known, zoom)
    assert str(found.crs) == crs
    wanted = DENOMINATORS[known.grid.matrix_set, level] * 0.00028 / unit
    assert math.isclose(found.pixel, wanted, rel_tol=1e-9)
    assert (found.left, found.top) == pytest.approx((west, north), abs=1e-6)
    # The tile of a place is the one that holds it.
    x, y = Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(6.03, 46.48)
    box = found.covering((x, y, x, y))
    assert (box.left, box.top) == (
        math.floor((x - west) / wanted / side),
        math.floor((north - y) / wanted / side),
    )


def test_limits_beyond_a_matrix_are_not_believed_and_good_ones_are() -> None:
    content = (RECORDED / "ign_geoportail.xml").read_bytes()
    entry = entry_of("https://wxs.ign.fr/x", layer=IGN)
    known = entry_from(entry, parse_capabilities(content, "x"))
    assert known.grid is not None
    assert known.grid.matrix_set == "PM"
    finest = known.grid.levels[-1]
    assert (finest.rows, finest.columns) == ((21904, 37040), (320, 63392))
    content = (RECORDED / "geoserver.xml").read_bytes()
    entry = entry_of("http://geonode.iwlearn.org/x", matrix_set="EPSG:4326")
    known = entry_from(entry, parse_capabilities(content, "x"))
    assert known.grid is not None
    assert known.grid.levels[0].columns == (0, 2)
    assert known.bounds == (-180.0, -85.4702835081022, 179.999999999874, 82.8930358882265)


def test_several_layers_and_none_named_are_listed() -> None:
    content = (RECORDED / "nasa_eosdis.xml").read_bytes()
    found = parse_capabilities(content, "x")
    address = "http://map1b.vis.earthdata.nasa.gov/x"
    with pytest.raises(ImageryError, match=r"has 2 layers.*MODIS_Terra_C.*name one with layer:"):
        entry_from(entry_of(address), found)
    with pytest.raises(ImageryError, match=r"did you mean MODIS_Terra_CorrectedReflectance_TrueC"):
        entry_from(entry_of(address, layer="MODIS_Terra_CorrectedReflectance_TrueColour"), found)
    entry = entry_of(address, layer="MODIS_Terra_CorrectedReflectance_TrueColor")
    known = entry_from(entry, found)
    assert known.tile_px == 512
    assert known.grid is not None
    assert known.grid.crs == "EPSG:4326"
    assert [level.id for level in known.grid.levels] == [str(z) for z in range(9)]
    with pytest.raises(ImageryError, match=r"no matrix set PM.*EPSG4326_250m"):
        entry_from(entry.model_copy(update={"matrix_set": "PM"}), found)


def rest(extra: str = "", place: str = "{Time}/") -> Callable[[bytes], bytes]:
    """Return what gives a layer a template, as NASA's GIBS has it, and a dimension of time."""

    def change(document: bytes) -> bytes:
        root = document.partition(b'href="')[2].partition(b"/wmts?")[0]
        template = (
            b"<Dimension><o:Identifier xmlns:o='http://www.opengis.net/ows/1.1'>Time</o:Identifier>"
            b"<Default>2020-05-01</Default><Value>2012-05-08/2020-05-01/P1D</Value></Dimension>"
            b"<ResourceURL format='image/png' resourceType='tile' template='"
            + root
            + f"/wmts?{extra}t={place}{{Style}}&amp;TileMatrixSet={{TileMatrixSet}}&amp;Layer=l"
            "&amp;TileMatrix={TileMatrix}&amp;TileRow={TileRow}&amp;TileCol={TileCol}'/>".encode()
        )
        return document.replace(b"<TileMatrixSetLink>", template + b"<TileMatrixSetLink>", 1)

    return change


def test_templates_and_the_default_of_time_are_taken() -> None:
    with serve_wmts("ign_geoportail", rest()) as server:
        bounds, shape = bounds_in("EPSG:32632", 12.5)
        source = served(server, layer=IGN, matrix_set="LAMB93", sensor=_sensor("", "13"))
        assert source.read(bounds, shape, "EPSG:32632").valid.all()
        assert {tile["T"] for tile in server.tiles} == {"2020-05-01/normal"}
        other = served(server, layer=IGN, matrix_set="LAMB93", dimensions={"time": "2019-01-02"})
        assert "t=2019-01-02/normal" in other.entry.url
        # Another day is other imagery.
        assert other.identity()["content"] != source.identity()["content"]
        with pytest.raises(ImageryError, match=r"no dimensions tiem.*did you mean time"):
            served(server, layer=IGN, dimensions={"tiem": "2019-01-02"})
        with pytest.raises(ImageryError, match=r"no style nromal.*did you mean normal"):
            served(server, layer=IGN, style="nromal")
    with (
        serve_wmts("ign_geoportail", rest(place="{Elevation}/")) as server,
        pytest.raises(ImageryError, match="has a place Elevation, no dimension"),
    ):
        served(server, layer=IGN)


def test_tiles_at_another_host_are_asked_for_only_if_the_entry_names_it() -> None:
    def elsewhere(document: bytes) -> bytes:
        return document.replace(b'href="http://127.0.0.1', b'href="http://tiles.elsewhere.test')

    with serve_wmts("ign_geoportail", elsewhere) as server:
        with pytest.raises(ImageryError, match=r"tiles at tiles\.elsewhere\.test.*redirects_to:"):
            served(server, layer=IGN)
        known = served(server, layer=IGN, redirects_to=["tiles.elsewhere.test"])
        assert known.entry.url.startswith("http://tiles.elsewhere.test")


def test_a_key_that_the_server_repeats_is_none_of_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAP_KEY", "s3cret-key-0123456789")
    echo = rest("key=s3cret-key-0123456789&amp;")
    with serve_wmts("ign_geoportail", echo) as server:
        address = f"{server.url}/WMTSCapabilities.xml?key=${{MAP_KEY}}"
        source = open_source(entry_of(address, layer=IGN, env=["MAP_KEY"]))
    assert isinstance(source, XyzSource)
    assert "key=${MAP_KEY}&" in source.entry.url
    assert "s3cret" not in source.entry.model_dump_json()
    # No other variable is put in because a server asks for it.
    with (
        serve_wmts("ign_geoportail", rest("home=${HOME}&amp;")) as server,
        pytest.raises(ImageryError, match="has a place HOME, no dimension"),
    ):
        served(server, layer=IGN)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    b"<Capabilities><Contents>&b;</Contents></Capabilities>"
)
FILE = (
    b'<?xml version="1.0"?><!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<Capabilities><Contents>&x;</Contents></Capabilities>"
)
DEEP = b"<Capabilities><Contents>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</Contents></Capabilities>"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>Not found</body></html>",
        b"<Capabilities/>",
        b"<Capabilities><Contents>",
        b'{"type": "FeatureCollection"}',
        BOMB,
        FILE,
        DEEP,
        b"\xff\xfe\x00",
        (RECORDED / "ign_geoportail.xml").read_bytes().replace(b"256<", b"many<"),
        (RECORDED / "ign_geoportail.xml").read_bytes().replace(b"0.0000000000000000 1", b"0"),
    ],
)
def test_hostile_and_broken_documents_are_one_line(content: bytes) -> None:
    with pytest.raises(ImageryError, match="is no capabilities of a WMTS") as caught:
        parse_capabilities(content, "http://a.test/c.xml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"EPSG:2154", b"EPSG:999999", "matrix set LAMB93 in EPSG:999999 cannot be read"),
        (b"EPSG:2154", b"IGNF:LAMBE", "matrix set LAMB93 in IGNF:LAMBE cannot be read"),
        (b"EPSG:2154", b"EPSG:5773", "neither degrees nor a projection"),
        (b"EPSG:2154", b"EPSG:4978", "neither degrees nor a projection"),
        (b"<MatrixWidth>", b"<MatrixWidth>" + b"9" * 400, "cannot be read"),
        (b"<TileWidth>", b"<TileWidth>" + b"9" * 400, "no square tiles of 256 or 512 pixels"),
        (b'href="https://', b'href="https://[', "no http or https address for tiles"),
        (b"<TileWidth>256", b"<TileWidth>300", "no square tiles of 256 or 512 pixels"),
        (b"22785.3272714285733418", b"nan", "cannot be read"),
        (b"22785.3272714285733418", b"1e400", "cannot be read"),
        (b"22785.3272714285733418", b"0", "cannot be read"),
        (b"image/png", b"application/x-protobuf", "expected images"),
    ],
)
def test_matrix_sets_that_cannot_be_read_are_said(old: bytes, new: bytes, said: str) -> None:
    content = (RECORDED / "ign_geoportail.xml").read_bytes().replace(old, new)
    entry = entry_of("https://wxs.ign.fr/x", layer=IGN, matrix_set="LAMB93")
    with pytest.raises(ImageryError, match=said) as caught:
        entry_from(entry, parse_capabilities(content, "x"))
    assert "\n" not in str(caught.value)


def test_capabilities_that_cannot_be_had_are_said(tmp_path: Path) -> None:
    with serve_wmts("ign_geoportail") as server:
        with pytest.raises(
            ImageryError, match=r"the capabilities at .*/none cannot be had \(.*404"
        ):
            open_source(entry_of(f"{server.url}/none", layer=IGN))
        found = list(check_source(entry_of(f"{server.url}/WMTSCapabilities.xml"), (6.03, 46.48)))
    assert [good for good, _ in found] == [False]
    assert "name one with layer:" in found[0][1]


def test_catalog_check_states_layer_set_and_level() -> None:
    with serve_wmts("ign_geoportail") as server:
        entry = entry_of(
            f"{server.url}/WMTSCapabilities.xml",
            layer=IGN,
            matrix_set="LAMB93",
            sensor=_sensor("", "13"),
        )
        found = list(check_source(entry, (6.03, 46.48)))
    assert all(good for good, _ in found), found
    said = "\n".join(line for _, line in found)
    assert f"layer {IGN}, matrix set LAMB93, level 13" in said


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "", "capabilities": None}, "url: a template is needed, or capabilities:"),
        ({"url": "https://a.test/{z}/{x}/{y}"}, "one is enough"),
        ({"capabilities": "file:///etc/passwd"}, "no http or https address"),
        ({"capabilities": "https://a.test/${KEY}"}, "uses .*KEY.*env: does not list"),
    ],
)
def test_entries_that_contradict_themselves(fields: dict[str, str], said: str) -> None:
    known = {"url": "", "capabilities": "https://a.test/c.xml"} | fields
    with pytest.raises(ValueError, match=said):
        make_entry(known.pop("url"), **known)
    with pytest.raises(ValueError, match="is of a WMTS"):
        make_entry("https://a.test/{z}/{x}/{y}", layer="ortho")
