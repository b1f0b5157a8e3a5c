"""Which files are ours where no manifest says so: those of version 0.1.0, by what is in them.

Conservative: what shows no mark of ours is somebody else's.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import rasterio
from PIL import Image

from s2s_map.outputs import names
from s2s_map.outputs.zarr_files import EMBEDDING, MAP_VARIABLES, is_embeddings

_SMALL = 64 << 20


def is_ours(path: Path) -> bool:
    """Return whether a file or folder directly in an output shows that a run wrote it."""
    known: Mapping[str, Callable[[Path], bool]] = {
        names.EMBEDDINGS: lambda p: is_embeddings(p) or (p / EMBEDDING).is_dir(),
        names.MAPS: lambda p: all((p / name).is_dir() for name in MAP_VARIABLES),
        names.LEDGER: _is_ledger,
        names.RECORD: lambda p: {"config", "timings_s", "concepts"} <= _json(p).keys(),
        names.ITEM: lambda p: "s2s_map:concepts" in _json(p).get("properties", {}),
        names.SEARCH: lambda p: _json(p).get("type") is not None,
        names.IMAGERY: lambda p: {"ATTRIBUTION", "LICENCE"} <= _tags(p).keys(),
        names.PREVIEW: _is_preview,
    }
    check = known.get(path.name) or _CHECKS.get(path.suffix)
    return check is not None and check(path)


def older_names(out: Path) -> set[str]:
    """Return the names of results of version 0.1.0 directly in a folder; none without a run.json.

    A copy of a layer under another name is somebody's own.
    """
    concepts = _json(out / names.RECORD).get("concepts")
    if not isinstance(concepts, dict) or not is_ours(out / names.RECORD):
        return set()
    fixed = (names.MAPS, names.IMAGERY, names.PREVIEW, names.ITEM, names.RECORD)
    found = {name for name in fixed if (out / name).exists() and is_ours(out / name)}
    for path in out.glob("*.tif"):
        if _concept(path) in concepts:
            found.add(path.name)
            style = path.with_suffix(".qml")
            found |= {style.name} if style.exists() else set()
    return found


def is_our_style(path: Path) -> bool:
    """Return whether a run wrote a style; QGIS writes its own header when it saves one."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return text.startswith(names.STYLE_BEGINS)


def is_readable(path: Path) -> bool:
    """Return whether a file of a kind that a run writes can be read to its end."""
    try:
        if path.suffix == ".tif":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with rasterio.open(path) as source:
                    for _, window in source.block_windows(1):
                        source.read(window=window)
        elif path.suffix == ".qml":
            # No declared entities: the line that QGIS begins with has none.
            ET.fromstring(_without_doctype(path))  # noqa: S314
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
    except (OSError, ValueError, SyntaxError, rasterio.errors.RasterioError):
        return False
    return True


def _without_doctype(path: Path) -> bytes:
    raw = path.read_bytes()
    if b"<!ENTITY" in raw:
        raise ValueError("declares entities")
    return raw


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _SMALL:
            return {}
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_ledger(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            first = file.readline(_SMALL)
        return not first or "event" in json.loads(first)
    except (OSError, ValueError, TypeError):
        return False


def _tags(path: Path) -> dict[str, str]:
    try:
        with rasterio.open(path) as source:
            return dict(source.tags())
    except (OSError, rasterio.errors.RasterioError):
        return {}


def _is_layer(path: Path) -> bool:
    return _concept(path) is not None


def _concept(path: Path) -> str | None:
    """Return the layer that a GeoTIFF holds, if it is called as a run calls it."""
    tags = _tags(path)
    name = tags.get("CONCEPT")
    if name is None or not {"METHOD", "SOFTWARE", "TIME_SLOT"} <= tags.keys():
        return None
    return name if path.stem in (name, names.layer_stem(name, tags["TIME_SLOT"], 2)) else None


def _is_style(path: Path) -> bool:
    # One that QGIS saved over it has no mark of ours, but the layer beside it has.
    return is_our_style(path) or _is_layer(path.with_suffix(".tif"))


def _is_preview(path: Path) -> bool:
    return is_ours(path.with_name(names.RECORD)) or is_ours(path.with_name(names.ITEM))


_CHECKS: Mapping[str, Callable[[Path], bool]] = {".tif": _is_layer, ".qml": _is_style}
