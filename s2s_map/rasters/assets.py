"""The assets of the STAC item and how to draw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pystac

from s2s_map.rasters.cog import file_stem
from s2s_map.rasters.colours import COLORMAP
from s2s_map.rasters.geotiff import statistics_tags
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.scoring.summary import BandStatistics

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_OTHERS: tuple[tuple[str, str, str, str, tuple[str, ...]], ...] = (
    (
        "maps",
        "maps.zarr",
        "Probability and similarity of all concepts",
        "application/vnd+zarr",
        ("data",),
    ),
    (
        "embeddings",
        "embeddings.zarr",
        "Embeddings of the imagery, for further queries",
        "application/vnd+zarr",
        ("data",),
    ),
    (
        "imagery",
        "imagery.tif",
        "Imagery averaged onto the cells",
        _COG,
        ("visual", "overview"),
    ),
    (
        "thumbnail",
        "preview.png",
        "Imagery and maps side by side",
        "image/png",
        ("thumbnail",),
    ),
    ("run", "run.json", "Config, versions, timings", "application/json", ("metadata",)),
)
_ALWAYS = "run"
# Multihash: the code of SHA2-256 and its length of 32 bytes.
_SHA2_256 = "1220"


def layer_assets(
    layers: Sequence[ConceptLayer], time_slots: Sequence[str], cell_m: int
) -> dict[str, pystac.Asset]:
    """Return the GeoTIFF and the QGIS style of every layer and time slot, by asset key."""
    assets = {}
    for layer in layers:
        for index, slot in enumerate(time_slots):
            stem = file_stem(layer, slot, len(time_slots))
            suffix = f", {slot}" if len(time_slots) > 1 else ""
            assets[stem] = pystac.Asset(
                href=f"./{stem}.tif",
                title=f"{layer.title}{suffix}: {layer.label}",
                media_type=_COG,
                roles=["data"],
                extra_fields={"bands": _bands(layer, index, cell_m)},
            )
            assets[f"{stem}-style"] = pystac.Asset(
                href=f"./{stem}.qml",
                title=f"{layer.title}{suffix}: style for QGIS",
                media_type="application/xml",
                roles=["style"],
            )
    return assets


def further_assets(
    layers: Sequence[ConceptLayer],
    time_slots: Sequence[str],
    formats: Mapping[str, tuple[str, str]],
) -> dict[str, pystac.Asset]:
    """Return the files of further formats of every layer and time slot, by asset key.

    Args:
        layers: The layers.
        time_slots: Labels of the time slots.
        formats: Media type and name of each format, by the ending of its file.
    """
    stems = {
        file_stem(layer, slot, len(time_slots)): layer for layer in layers for slot in time_slots
    }
    return {
        f"{stem}-{ending.strip('.')}": pystac.Asset(
            href=f"./{stem}{ending}",
            title=f"{layer.title}, as {name}",
            media_type=media_type,
            roles=["data"],
        )
        for stem, layer in stems.items()
        for ending, (media_type, name) in formats.items()
    }


def other_assets(folder: Path, elsewhere: Mapping[str, str]) -> dict[str, pystac.Asset]:
    """Return what else a run writes, by asset key.

    Args:
        folder: Where it lies.
        elsewhere: Addresses by asset key of what does not lie there.
    """
    return {
        key: pystac.Asset(
            href=elsewhere.get(key, f"./{name}"), title=title, media_type=kind, roles=list(roles)
        )
        for key, name, title, kind, roles in _OTHERS
        if key == _ALWAYS or key in elsewhere or (folder / name).exists()
    }


def add_checksums(assets: Mapping[str, pystac.Asset], files: Mapping[str, tuple[int, str]]) -> None:
    """Say size and checksum of the assets that are files.

    Args:
        assets: By key.
        files: Size and SHA-256, hexadecimal, by the name of a file beside the item.
    """
    for asset in assets.values():
        known = files.get(asset.href.removeprefix("./"))
        if known is not None:
            size, sha256 = known
            asset.extra_fields["file:size"] = size
            asset.extra_fields["file:checksum"] = f"{_SHA2_256}{sha256}"


def renders(layers: Sequence[ConceptLayer], time_slots: Sequence[str]) -> dict[str, Any]:
    """Return how to draw every GeoTIFF: the colours and the range of its QGIS style."""
    return {
        file_stem(layer, slot, len(time_slots)): {
            "title": f"{layer.title}: {layer.label}",
            "assets": [file_stem(layer, slot, len(time_slots))],
            "bidx": [1],
            "rescale": [list(layer.colour_range)],
            "colormap_name": COLORMAP,
            "nodata": "nan",
            "resampling": "nearest",
        }
        for layer in layers
        for slot in time_slots
    }


def _bands(layer: ConceptLayer, slot: int, cell_m: int) -> list[dict[str, Any]]:
    names = ("probability", "similarity")
    statistics = (layer.summary.probability[slot], layer.summary.similarity[slot])
    return [
        {
            "name": name,
            "description": description,
            "data_type": "float32",
            "nodata": "nan",
            "unit": "1",
            "statistics": _statistics(one),
            "raster:sampling": "area",
            "raster:spatial_resolution": cell_m,
        }
        for name, description, one in zip(names, layer.band_descriptions, statistics, strict=True)
    ]


def _statistics(statistics: BandStatistics) -> dict[str, float]:
    return {
        key.removeprefix("STATISTICS_").lower(): float(value)
        for key, value in statistics_tags(statistics).items()
    }
