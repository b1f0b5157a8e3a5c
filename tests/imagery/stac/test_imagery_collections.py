"""Scenes of every collection with a profile: recorded items, pixels compared with a hand's sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fixtures_collections import SIDE, bounds_of, recorded, scene_of
from fixtures_sentinel import write_items
from fixtures_servers import FileServer, serve_folder, serve_stac
from numpy.typing import NDArray

from s2s_map import load_catalog
from s2s_map.arrays import ImageBlock
from s2s_map.catalog.stac_items import kept
from s2s_map.config.stac import StacEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.checking import check_source
from s2s_map.imagery.sources.stac.source import StacSource

type Ints = NDArray[Any]
type Make = Callable[[Path, str], list[dict[str, Any]]]

LANDSAT = recorded("landsat-c2-l2_planetary_computer")
NAIP = recorded("naip_planetary_computer")
C1 = recorded("sentinel-2-c1-l2a_earth_search")
VISUAL = recorded("sentinel-2-l2a_planetary_computer")
HLS = {name: recorded(f"hls2-{name}_planetary_computer") for name in ("l30", "s30")}

# A level that is right to half of itself, and to the 0.0001 that reflectance is kept to.
LEVEL = 0.5 + 255.0 * 1e-4
COLOURS = ("red", "green", "blue")
LINEAR = {"min": 0.0, "max": 1.0}


def entry_of(name: str, url: str, **fields: Any) -> StacEntry:
    """Return a shipped entry for a server of the test's."""
    shipped = yaml.safe_load(Path("data_catalog.yaml").read_text())[name]
    return StacEntry.model_validate(shipped | {"url": url, "token_url": None} | fields)


def noise(seed: int, low: int, high: int, dtype: str, *shape: int) -> Ints:
    rng = np.random.default_rng(seed)
    return rng.integers(low, high, shape or (SIDE, SIDE)).astype(dtype)


@contextmanager
def serving(folder: Path, make: Make) -> Iterator[tuple[str, FileServer]]:
    with (
        serve_folder(folder) as files,
        serve_stac(write_items(folder / "items.json", make(folder, files.url))) as url,
    ):
        yield url, files


def read(entry: StacEntry, item: dict[str, Any]) -> tuple[StacSource, ImageBlock]:
    """Search around an item and read its pixels as they are."""
    bounds, crs = bounds_of(item)
    west, south, east, north = scene_box(item)
    source = StacSource(entry).freeze((west, south, east, north))
    return source, source.read(bounds, (SIDE, SIDE), crs)


def scene_box(item: dict[str, Any]) -> tuple[float, float, float, float]:
    from rasterio.warp import transform_bounds

    bounds, crs = bounds_of(item)
    return transform_bounds(crs, "EPSG:4326", *bounds)


def landsat(folder: Path, root: str) -> list[dict[str, Any]]:
    """Two dates. Of the first the north is cloud and shadow, of both the last columns are fill."""
    items = []
    for i, (low, day) in enumerate(((8_000, "2020-06-01"), (12_000, "2020-07-03"))):
        bands = {
            name: noise(10 * i + j, low, low + 9_000, "uint16")
            for j, name in enumerate(("red", "green", "blue"))
        }
        # Clear (bit 6), and low confidence of all else, as USGS writes clear land.
        quality = np.full((SIDE, SIDE), 0b01010101_01000000, dtype=np.uint16)
        quality[40:48] |= 1 << 5  # snow is ground
        if i == 0:
            quality[:8], quality[8:16] = 0b01010111_00001000, 0b01011101_00010000
            quality[16:20], quality[20:24] = 0b01010101_00000010, 0b11010101_00000100
        quality[:, 60:] = 1
        for band in bands.values():
            band[:, 60:] = 0
        items.append(
            scene_of(
                folder,
                root,
                LANDSAT,
                {**bands, "qa_pixel": quality},
                dict.fromkeys(bands, 0) | {"qa_pixel": 1},
                id=f"LC08_L2SP_08909{i}",
                datetime=f"{day}T23:46:20.477296Z",
                **{"eo:cloud_cover": 5.0 + i},
            )
        )
    return items


def test_landsat_is_masked_by_bits_and_is_reflectance(tmp_path: Path) -> None:
    with serving(tmp_path, landsat) as (url, _):
        entry = entry_of("landsat_planetary_computer", url, scale=LINEAR)
        source, block = read(entry, LANDSAT)
    assert [item["id"] for item in source.items or ()] == ["LC08_L2SP_089090", "LC08_L2SP_089091"]
    assert not block.holes
    assert block.valid[:, :60].all()
    assert not block.valid[:, 60:].any()
    for j in range(3):
        first, second = (
            0.0000275 * noise(10 * i + j, low, low + 9_000, "uint16") - 0.2
            for i, low in enumerate((8_000, 12_000))
        )
        wanted = 255.0 * np.clip((first + second) / 2.0, 0.0, 1.0)
        wanted[:24] = 255.0 * second[:24]
        error = np.abs(block.pixels[j].astype(float) - wanted)[:, :60]
        assert error.max() <= LEVEL


def test_bits_beyond_eight_are_no_class_that_is_clear(tmp_path: Path) -> None:
    """As QA60 of Sentinel-2: 0 is clear, 1024 and 2048 are cloud and cirrus."""

    def of_qa60(folder: Path, root: str) -> list[dict[str, Any]]:
        quality = np.zeros((SIDE, SIDE), dtype=np.uint16)
        quality[:8], quality[8:16] = 1024, 2048
        bands = {name: noise(j, 9_000, 9_900, "uint16") for j, name in enumerate(COLOURS)}
        said = {"id": "LC08_A", "datetime": "2020-06-01T23:46:20Z", "eo:cloud_cover": 5.0}
        return [scene_of(folder, root, LANDSAT, {**bands, "qa_pixel": quality}, {}, **said)]

    with serving(tmp_path, of_qa60) as (url, _):
        entry = entry_of("landsat_planetary_computer", url, scale=LINEAR, clear=[0])
        _, block = read(entry, LANDSAT)
    assert not block.valid[:16].any()
    assert block.valid[16:].all()


def test_metadata_of_the_item_go_before_the_profile(tmp_path: Path) -> None:
    """An older product of another factor says so; nonsense is not believed."""

    def other(folder: Path, root: str) -> list[dict[str, Any]]:
        items = landsat(folder, root)
        for name in ("red", "green"):
            items[1]["assets"][name]["raster:bands"] = [{"scale": 1e-5, "offset": 0.05}]
        items[1]["assets"]["green"] |= {"raster:bands": None, "raster:scale": 1e-5}
        items[1]["assets"]["blue"]["raster:bands"] = [{"scale": 0, "offset": "none"}]
        return items[1:]

    with serving(tmp_path, other) as (url, _):
        entry = entry_of("landsat_planetary_computer", url, scale=LINEAR)
        _, block = read(entry, LANDSAT)
    for j, (factor, offset) in enumerate(((1e-5, 0.05), (1e-5, -0.2), (2.75e-5, -0.2))):
        numbers = noise(10 + j, 12_000, 21_000, "uint16")
        wanted = 255.0 * np.clip(factor * numbers + offset, 0.0001, 1.0)
        assert np.abs(block.pixels[j].astype(float) - wanted)[:, :60].max() <= LEVEL


def hls(part: str) -> Make:
    """One date: cloud, its shadow and its neighbourhood in the north, fill in the south."""

    def make(folder: Path, root: str) -> list[dict[str, Any]]:
        bands = {f"B0{j}": noise(j, -60, 3_000, "int16") for j in (2, 3, 4)}
        mask = np.full((SIDE, SIDE), 0b0100_0000, dtype=np.uint8)
        mask[:4], mask[4:8], mask[8:12] = 0b0000_0010, 0b0000_0100, 0b0000_1000
        mask[12:16] = 0b0011_0000  # snow and water are ground
        mask[60:] = 255
        for band in bands.values():
            band[60:] = -9999
        nodata: dict[str, float | None] = dict.fromkeys(bands, -9999) | {"Fmask": 255}
        day: dict[str, Any] = dict.fromkeys(
            ("datetime", "start_datetime", "end_datetime"), "2020-06-17T10:13:17.089940Z"
        )
        day["eo:cloud_cover"] = 3.0
        return [scene_of(folder, root, HLS[part], {**bands, "Fmask": mask}, nodata, **day)]

    return make


@pytest.mark.parametrize("part", ["l30", "s30"])
def test_hls_is_masked_by_fmask_and_negative_numbers_are_dark(tmp_path: Path, part: str) -> None:
    item = HLS[part]
    with serving(tmp_path, hls(part)) as (url, _):
        entry = entry_of(f"hls_{part}_planetary_computer", url, scale=LINEAR)
        source, block = read(entry, item)
    assert source.items is not None
    assert not block.holes
    assert not block.valid[:12].any()
    assert block.valid[12:60].all()
    assert not block.valid[60:].any()
    for level, name in zip(block.pixels, (4, 3, 2), strict=True):
        wanted = 255.0 * np.clip(noise(name, -60, 3_000, "int16") * 0.0001, 0.0, 1.0)
        assert np.abs(level.astype(float) - wanted)[12:60].max() <= LEVEL


def naip(folder: Path, root: str) -> list[dict[str, Any]]:
    """Two years, the older named later; of the newer a corner is black."""
    items = []
    for year, seed in ((2021, 1), (2019, 2)):
        image = noise(seed, 0, 255, "uint8", 4, SIDE, SIDE)
        if year == 2021:
            image[:3, :8, :8] = 0
        items.append(
            scene_of(
                folder,
                root,
                NAIP,
                {"image": image},
                {},
                id=f"pr_m_1806551_nw_20_030_{year}1212_{9999 - year}0329",
                datetime=f"{year}-12-12T16:00:00Z",
                **{"naip:year": str(year)},
            )
        )
    return items


def test_naip_is_the_newest_as_it_is(tmp_path: Path) -> None:
    with serving(tmp_path, naip) as (url, _):
        newest = entry_of("naip_planetary_computer", url)
        source, block = read(newest, NAIP)
        both, filled = read(entry_of("naip_planetary_computer", url, max_per_tile=2), NAIP)
    assert [item["id"][-17:-9] for item in source.items or ()] == ["20211212"]
    assert [item["id"][-17:-9] for item in both.items or ()] == ["20211212", "20191212"]
    # 0.3 m in the file, 0.6 m for the model: read finer, it is resampled.
    image = noise(1, 0, 255, "uint8", 4, SIDE, SIDE)
    assert not block.holes
    assert filled.valid[2:-2, 2:-2].all()
    assert not block.valid[2:6, 2:6].any()
    assert block.valid[12:-2, 12:-2].all()
    assert abs(int(block.pixels[0, 32:].mean()) - int(image[0, 32:].mean())) <= 1


def test_naip_at_the_pixels_of_bing_is_the_mean_of_four(tmp_path: Path) -> None:
    with serving(tmp_path, naip) as (url, _):
        entry = entry_of("naip_planetary_computer", url)
        source = StacSource(entry).freeze(scene_box(NAIP))
        west, south, east, north = bounds_of(NAIP)[0]
        half = SIDE // 2
        block = source.read((west, south, east, north), (half, half), "EPSG:26920")
    image = noise(1, 0, 255, "uint8", 4, SIDE, SIDE)[:3].astype(float)
    wanted = image.reshape(3, half, 2, half, 2).mean(axis=(2, 4))
    error = np.abs(block.pixels.astype(float) - wanted)[:, 8:-8, 8:-8]
    assert error.max() <= 1.0
    assert block.valid[8:-8, 8:-8].all()


def collection_1(folder: Path, root: str) -> list[dict[str, Any]]:
    """One date, cloudy in the north; numbers with their offset, and the picture."""
    bands = {
        name: noise(j, 1_100, 6_000, "uint16") for j, name in enumerate(("red", "green", "blue"))
    }
    classes = np.full((SIDE // 2, SIDE // 2), 5, dtype=np.uint8)
    classes[:4] = 9
    tci = noise(9, 1, 255, "uint8", 3, SIDE, SIDE)
    pixels = {**bands, "scl": classes, "visual": tci}
    day = {"datetime": "2020-06-22T09:19:42.556000Z", "eo:cloud_cover": 3.0}
    return [scene_of(folder, root, C1, pixels, dict.fromkeys(pixels, 0), **day)]


def test_collection_1_of_earth_search_has_its_offset_in_the_numbers(tmp_path: Path) -> None:
    with serving(tmp_path, collection_1) as (url, _):
        entry = entry_of("sentinel2_c1_earthsearch", url, scale=LINEAR)
        _, block = read(entry, C1)
        shown = entry_of("sentinel2_c1_earthsearch", url, profile="sentinel-2-visual")
        _, picture = read(shown, C1)
    for j in range(3):
        wanted = 255.0 * (noise(j, 1_100, 6_000, "uint16") - 1000.0) / 10_000.0
        assert np.abs(block.pixels[j].astype(float) - wanted)[8:].max() <= LEVEL
    for found in (block, picture):
        assert not found.valid[:8].any()
        assert found.valid[8:].all()
        assert not found.holes
    assert (picture.pixels[:, 8:] == noise(9, 1, 255, "uint8", 3, SIDE, SIDE)[:, 8:]).all()


@pytest.mark.parametrize("masked", [False, True])
def test_any_picture_called_visual_is_shown_as_it_is(tmp_path: Path, masked: bool) -> None:
    """Of a drone, say: no mask, no clouds; an alpha band says where there is nothing."""
    image = noise(3, 0, 256, "uint8", 4, SIDE, SIDE)
    image[3] = 255
    image[3, :10] = 0

    def make(folder: Path, root: str) -> list[dict[str, Any]]:
        pixels = {"visual": image if masked else image[:3]}
        item = scene_of(folder, root, VISUAL, pixels, {}, datetime="2020-06-17T10:00:00Z")
        item["assets"] = {"visual": item["assets"]["visual"]}
        del item["properties"]["eo:cloud_cover"]
        return [item]

    with serving(tmp_path, make) as (url, _):
        entry = entry_of("sentinel2_c1_earthsearch", url, profile="visual")
        entry = entry.model_copy(update={"collection": "sentinel-2-l2a"})
        _, block = read(entry, VISUAL)
    assert not block.holes
    assert block.valid[10:].all()
    assert block.valid[:10].any() != masked
    assert (block.pixels[:, 10:] == image[:3, 10:]).all()


def test_a_visual_of_16_bit_is_a_hole_that_says_so(tmp_path: Path) -> None:
    def make(folder: Path, root: str) -> list[dict[str, Any]]:
        pixels = {"visual": noise(3, 0, 5000, "uint16", 3, SIDE, SIDE)}
        return [scene_of(folder, root, VISUAL, pixels, {}, datetime="2020-06-17T10:00:00Z")]

    with serving(tmp_path, make) as (url, _):
        entry = entry_of("sentinel2_c1_earthsearch", url, profile="visual")
        _, block = read(entry.model_copy(update={"collection": "sentinel-2-l2a"}), VISUAL)
    assert [hole.reason for hole in block.holes] == ["it has uint16 values instead of uint8"]


def test_a_collection_that_there_is_not_is_said_with_the_nearest(tmp_path: Path) -> None:
    with serving(tmp_path, landsat) as (url, _):
        entry = entry_of("landsat_planetary_computer", url)
        wrong = entry.model_copy(update={"collection": "landsat-c2-12"})
        with pytest.raises(ImageryError, match=r"no collection landsat-c2-12;.*did you mean lan"):
            read(wrong, LANDSAT)


def test_assets_that_there_are_not_are_said_with_those_that_fit(tmp_path: Path) -> None:
    with serving(tmp_path, landsat) as (url, _):
        entry = entry_of("hls_l30_planetary_computer", url)
        wrong = entry.model_copy(update={"collection": "landsat-c2-l2"})
        with pytest.raises(ImageryError) as caught:
            read(wrong, LANDSAT)
    said = str(caught.value)
    assert "no asset B04, B03, B02, Fmask, but blue, green, qa_pixel, red" in said
    assert "set assets: {red: red, green: green, blue: blue, mask: qa_pixel}" in said
    assert "profile: landsat-c2-l2" in said
    assert "\n" not in said


def test_files_whose_readers_pay_are_refused() -> None:
    item = recorded("naip_planetary_computer")
    item["properties"]["storage:requester_pays"] = True
    entry = entry_of("naip_planetary_computer", "https://a.test")
    with pytest.raises(ImageryError, match="where readers pay; use an API where they are free"):
        kept(item, entry)
    payer = entry.model_copy(update={"env": ("AWS_REQUEST_PAYER",)})
    assert kept(item, payer)["id"] == item["id"]


SHIPPED = {
    "landsat_planetary_computer": LANDSAT,
    "naip_planetary_computer": NAIP,
    "hls_l30_planetary_computer": HLS["l30"],
    "hls_s30_planetary_computer": HLS["s30"],
    "sentinel2_c1_earthsearch": C1,
    "sentinel2_planetary_computer": VISUAL,
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_entries_find_their_bands_in_what_the_apis_serve(name: str) -> None:
    entry, item = load_catalog()[name], SHIPPED[name]
    assert isinstance(entry, StacEntry)
    assert entry.collection == item["collection"]
    if name == "sentinel2_planetary_computer":
        entry = entry.model_copy(update={"assets": entry.assets.model_copy(update={"mask": "SCL"})})
    found = kept(item, entry)
    assert set(found["assets"]) == set(entry.assets.files) & set(item["assets"])
    assert name == "sentinel2_planetary_computer" or set(found["assets"]) == set(entry.assets.files)


@pytest.mark.parametrize(
    ("name", "make", "changes"),
    [
        ("landsat_planetary_computer", landsat, {}),
        ("naip_planetary_computer", naip, {}),
        ("hls_l30_planetary_computer", hls("l30"), {}),
        ("hls_s30_planetary_computer", hls("s30"), {}),
        ("sentinel2_c1_earthsearch", collection_1, {}),
        ("sentinel2_c1_earthsearch", collection_1, {"profile": "sentinel-2-visual"}),
    ],
)
def test_catalog_check_says_that_it_works(
    tmp_path: Path, name: str, make: Make, changes: dict[str, Any]
) -> None:
    west, south, east, north = scene_box(SHIPPED[name])
    with serving(tmp_path, make) as (url, _):
        at = ((west + east) / 2.0, (south + north) / 2.0)
        found = list(check_source(entry_of(name, url, **changes), at))
    assert all(good for good, _ in found), found
    said = "\n".join(line for _, line in found)
    assert "the search answers with" in said
    assert "values: red" in said


@pytest.mark.parametrize(
    "broken", [{"properties": None}, {"assets": None}, {"assets": {"red": None}}]
)
def test_an_item_that_is_none_of_stac_is_one_line(broken: dict[str, Any]) -> None:
    entry = entry_of("landsat_planetary_computer", "http://a.test")
    with pytest.raises(ImageryError, match="is not one of STAC; expected properties and assets"):
        kept(LANDSAT | broken, entry)


@pytest.mark.parametrize("said", [{}, {"proj:transform": [0, 0, 0, 0, 0, 0]}, {"proj:shape": [1]}])
def test_a_scene_whose_pixels_are_not_said_lies_in_its_box(said: dict[str, Any]) -> None:
    """Some say null; some boxes have heights."""
    entry = entry_of("landsat_planetary_computer", "http://a.test")
    west, south, east, north = LANDSAT["bbox"]
    item = kept(LANDSAT | {"bbox": [west, south, 0.0, east, north, 900.0]}, entry)
    nothing = {"proj:shape": None, "proj:transform": None}
    shape = {"proj:shape": [9, 9], "proj:transform": [30, 0, 0, 0, -30, 0]} if said else nothing
    item["properties"] |= shape | said
    for asset in item["assets"].values():
        asset.update(nothing)
    (zone,) = StacSource(entry, (item,), (west, south, east, north)).zones
    assert zone.outlines[0][2] - zone.outlines[0][0] > 200_000
    item |= {"bbox": None, "geometry": None}
    with pytest.raises(ImageryError, match="does not say where it lies"):
        StacSource(entry, (item,), (west, south, east, north)).zones  # noqa: B018
