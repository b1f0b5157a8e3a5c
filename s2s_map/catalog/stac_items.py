"""Choosing the scenes of a STAC search, and keeping what is needed of them: pure functions."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from s2s_map.config.stac import StacEntry
from s2s_map.config.stac_profiles import PROFILES, StacAssets
from s2s_map.errors import ImageryError
from s2s_map.opening.uris import is_remote
from s2s_map.redaction import redacted

Item = dict[str, Any]

_PROPERTIES = (
    "datetime",
    "proj:code",
    "proj:epsg",
    "eo:cloud_cover",
    "grid:code",
    "s2:mgrs_tile",
    "sat:relative_orbit",
    "s2:processing_baseline",
    "processing:version",
    "earthsearch:boa_offset_applied",
    "sentinel:boa_offset_applied",
    "updated",
    # Of the bands, where the assets do not say it.
    "proj:shape",
    "proj:transform",
    "landsat:wrs_path",
    "landsat:wrs_row",
)
# Tiles in the names of scenes: of HLS, and the quarter quadrangles of NAIP.
_TILES = (re.compile(r"\.T(\d{2}[A-Z]{3})\."), re.compile(r"_m_(\d{7}_(?:nw|ne|sw|se))_"))
_NAMES = "s2s_map:assets"
_ASSET = ("href", "type", "proj:code", "proj:epsg", "proj:shape", "proj:transform")
_RASTER = ("raster:bands", "bands", "raster:offset", "raster:scale")
_PAYS = "AWS_REQUEST_PAYER"


def kept(item: Mapping[str, Any], entry: StacEntry) -> Item:
    """Return the parts of an item that decide its pixels; still a valid STAC item.

    Addresses lose their queries: signatures expire and are secret.

    Raises:
        ImageryError: For an address that is not one of the network, as an API does not name files
            of this machine; for files whose readers pay; for what is no item.
    """
    wanted = entry.assets.files
    _check_whole(item, entry)
    properties, assets = item["properties"], item["assets"]
    for name in wanted:
        _check_free(item, assets.get(name, {}), entry)
        href = str(assets.get(name, {}).get("href", ""))
        if name in assets and not is_remote(href):
            raise ImageryError(
                f"the STAC item {item['id']} of {redacted(entry.url)} has its {name} at "
                f"{redacted(href)!r}",
                expected="an address of the network: https://, s3://, gs:// or az://",
                remedy="use another API; name local files in an entry of type raster",
            )
    there = {name: properties[name] for name in _PROPERTIES if name in properties}
    if any(name not in assets for name in wanted):
        there[_NAMES] = sorted(assets)
    return {
        "type": "Feature",
        "stac_version": item.get("stac_version", "1.0.0"),
        "stac_extensions": list(item.get("stac_extensions") or []),
        "id": str(item["id"]),
        "collection": item.get("collection", entry.collection),
        "geometry": item.get("geometry"),
        "bbox": item.get("bbox"),
        "properties": there,
        "links": [],
        "assets": {
            name: {
                **{key: assets[name][key] for key in (*_ASSET, *_RASTER) if key in assets[name]},
                "href": redacted(str(assets[name]["href"])),
                "roles": ["data"],
            }
            for name in wanted
            if name in assets
        },
    }


def choose(items: Iterable[Item], entry: StacEntry) -> list[Item]:
    """Return the scenes to take, the least cloudy first, always in the same order.

    Cloudier ones than the entry allows go; of a tile taken once but processed twice the newer
    version stays; of each tile and orbit the `max_per_tile` least cloudy. Where the collection does
    not say how cloudy its scenes are the newest take the place of the least cloudy.

    Raises:
        ImageryError: For an item that does not say its CRS; if no item has the bands.
    """
    order = _clearest if entry.known.has_cloud else _newest
    latest: dict[tuple[str, str], Item] = {}
    for item in sorted(items, key=_version):
        if cloud(item) <= entry.max_cloud:
            latest[tile_of(item), str(item["properties"].get("datetime"))[:16]] = item
    groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in latest.values():
        groups[tile_of(item), str(item["properties"].get("sat:relative_orbit", ""))].append(item)
    taken = [
        item for group in groups.values() for item in sorted(group, key=order)[: entry.max_per_tile]
    ]
    if taken and all(_NAMES in item["properties"] for item in taken):
        raise _no_bands(taken[0], entry)
    for item in taken:
        epsg(item)
    return sorted(taken, key=order)


def epsg(item: Mapping[str, Any]) -> str:
    """Return an item's CRS, such as EPSG:32632.

    Raises:
        ImageryError: For an item that does not say.
    """
    for fields in (item["properties"], *item["assets"].values()):
        code = fields.get("proj:code") or fields.get("proj:epsg")
        if code:
            return str(code) if ":" in str(code) else f"EPSG:{code}"
    raise ImageryError(
        f"the STAC item {item['id']} does not say its CRS",
        expected="proj:code or proj:epsg, of the projection extension",
        remedy="use another API or collection",
    )


def cloud(item: Mapping[str, Any]) -> float:
    """Return the share of cloud in percent; 0 where it is not said."""
    share = float(item["properties"].get("eo:cloud_cover") or 0.0)
    # Landsat says -1 for what was not looked at.
    return share if share >= 0.0 else 100.0


def digest(items: Sequence[Item]) -> str:
    """Return a SHA-256 over the items, in order."""
    text = json.dumps(list(items), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def tile_of(item: Item) -> str:
    """Return the tile of an item in the grid of its collection, or where its pixels lie."""
    properties = item["properties"]
    code = properties.get("grid:code") or properties.get("s2:mgrs_tile")
    if code:
        return str(code).removeprefix("MGRS-")
    path, row = properties.get("landsat:wrs_path"), properties.get("landsat:wrs_row")
    if path and row:
        return f"{path}/{row}"
    named = next(filter(None, (tile.search(str(item["id"])) for tile in _TILES)), None)
    if named:
        return named[1]
    places = [fields.get("proj:transform") for fields in (*item["assets"].values(), properties)]
    return f"{epsg(item)}{next((p for p in places if p), item.get('bbox'))}"


def _version(item: Item) -> tuple[str, str, str]:
    properties = item["properties"]
    baseline = properties.get("s2:processing_baseline") or properties.get("processing:version")
    return str(baseline or ""), str(properties.get("updated", "")), item["id"]


def _clearest(item: Item) -> tuple[float, str, str]:
    return cloud(item), str(item["properties"].get("datetime")), item["id"]


def _newest(item: Item) -> tuple[int, str]:
    day = re.sub(r"\D", "", str(item["properties"].get("datetime"))[:19])
    return -int(day or 0), item["id"]


def _check_whole(item: Mapping[str, Any], entry: StacEntry) -> None:
    assets = item.get("assets")
    used = [item.get("properties"), assets]
    if isinstance(assets, Mapping):
        used += [assets[name] for name in entry.assets.files if name in assets]
    if not all(isinstance(part, Mapping) for part in used):
        raise ImageryError(
            f"the STAC item {item['id']} of {redacted(entry.url)} is not one of STAC",
            expected="properties and assets",
            remedy="use another API or collection",
        )


def _check_free(item: Mapping[str, Any], asset: Mapping[str, Any], entry: StacEntry) -> None:
    # The storage extension: in the properties before its version 2.
    says = "storage:requester_pays"
    pays = asset.get(says, item.get("properties", {}).get(says))
    if pays is True and _PAYS not in entry.env:
        raise ImageryError(
            f"the files of {entry.collection} at {redacted(entry.url)} lie where readers pay",
            remedy=f"use an API where they are free, or set {_PAYS}=requester with your own keys "
            f"and list {_PAYS} in env:",
        )


def _no_bands(item: Item, entry: StacEntry) -> ImageryError:
    there = item["properties"][_NAMES]
    absent = [name for name in entry.assets.files if name not in there]
    fits = [
        f"assets: {_written(named)}" + ("" if profile is entry.known else f" and profile: {name}")
        for name, profile in PROFILES.items()
        for named in profile.assets.values()
        if all(file in there for file in named.files)
    ]
    near = difflib.get_close_matches(absent[0], there, n=1, cutoff=0.6)
    hint = f"set {fits[0]}" if fits else f"did you mean {near[0]}?" if near else "correct assets:"
    return ImageryError(
        f"scenes of {entry.collection} at {redacted(entry.url)} have no asset "
        f"{', '.join(absent)}, but {', '.join(there[:20])}",
        expected=entry.known.says.partition(":")[0],
        remedy=hint,
    )


def _written(assets: StacAssets) -> str:
    fields = {name: value for name, value in assets.model_dump().items() if value is not None}
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}"
