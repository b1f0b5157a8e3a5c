"""Choosing the scenes of a STAC search, and keeping what is needed of them: pure functions."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from s2s_map.config.stac import StacEntry
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
)
_ASSET = ("href", "type", "proj:code", "proj:epsg", "proj:shape", "proj:transform")
_RASTER = ("raster:bands", "raster:offset", "raster:scale")


def kept(item: Mapping[str, Any], entry: StacEntry) -> Item:
    """Return the parts of an item that decide its pixels; still a valid STAC item.

    Addresses lose their queries: signatures expire and are secret.

    Raises:
        ImageryError: For an address that is not one of the network: an API does not name files
            of this machine.
    """
    properties, assets = item.get("properties", {}), item.get("assets", {})
    wanted = (*entry.assets.colours, entry.assets.scl)
    for name in wanted:
        href = str(assets.get(name, {}).get("href", ""))
        if name in assets and not is_remote(href):
            raise ImageryError(
                f"the STAC item {item['id']} of {redacted(entry.url)} has its {name} at "
                f"{redacted(href)!r}",
                expected="an address of the network: https://, s3://, gs:// or az://",
                remedy="use another API; name local files in an entry of type raster",
            )
    return {
        "type": "Feature",
        "stac_version": item.get("stac_version", "1.0.0"),
        "stac_extensions": list(item.get("stac_extensions") or []),
        "id": str(item["id"]),
        "collection": item.get("collection", entry.collection),
        "geometry": item.get("geometry"),
        "bbox": item.get("bbox"),
        "properties": {name: properties[name] for name in _PROPERTIES if name in properties},
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
    version stays; of each tile and orbit the `max_per_tile` least cloudy.

    Raises:
        ImageryError: For an item that does not say its CRS.
    """
    latest: dict[tuple[str, str], Item] = {}
    for item in sorted(items, key=_version):
        if cloud(item) <= entry.max_cloud:
            latest[tile_of(item), str(item["properties"].get("datetime"))[:16]] = item
    groups: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in latest.values():
        groups[tile_of(item), str(item["properties"].get("sat:relative_orbit", ""))].append(item)
    taken = [
        item
        for group in groups.values()
        for item in sorted(group, key=_clearest)[: entry.max_per_tile]
    ]
    for item in taken:
        epsg(item)
    return sorted(taken, key=_clearest)


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
    return float(item["properties"].get("eo:cloud_cover") or 0.0)


def digest(items: Sequence[Item]) -> str:
    """Return a SHA-256 over the items, in order."""
    text = json.dumps(list(items), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def tile_of(item: Item) -> str:
    """Return the MGRS tile of an item, or where its pixels lie."""
    properties = item["properties"]
    code = properties.get("grid:code") or properties.get("s2:mgrs_tile")
    if code:
        return str(code).removeprefix("MGRS-")
    places = [asset.get("proj:transform") for asset in item["assets"].values()]
    return f"{epsg(item)}{next((p for p in places if p), item.get('bbox'))}"


def _version(item: Item) -> tuple[str, str, str]:
    properties = item["properties"]
    baseline = properties.get("s2:processing_baseline") or properties.get("processing:version")
    return str(baseline or ""), str(properties.get("updated", "")), item["id"]


def _clearest(item: Item) -> tuple[float, str, str]:
    return cloud(item), str(item["properties"].get("datetime")), item["id"]
