"""From the capabilities of a WMTS to an entry of web tiles: layer, matrix set, template, levels."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection
from urllib.parse import quote, urlencode, urljoin, urlsplit

from pydantic import ValidationError

from s2s_map.catalog.environment import expanded
from s2s_map.config.webtiles import XyzEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.sources.xyz.capabilities import (
    MOST_BYTES,
    Capabilities,
    Layer,
    parse_capabilities,
)
from s2s_map.imagery.sources.xyz.matrix_sets import grid_of, is_quad
from s2s_map.opening.fetching import fetch_bounded
from s2s_map.opening.redirects import Host
from s2s_map.opening.routes import route_to
from s2s_map.redaction import redacted
from s2s_map.redaction.variables import is_setting

_READ = ("image/jpeg", "image/png", "image/webp", "image/jpgpng", "image/jpg", "image/png8")
_TILE = ("TileMatrix", "TileRow", "TileCol")
_PLACE = re.compile(r"(?<!\$)\{([^{}]+)\}")
_SHOWN = 12


def with_capabilities(entry: XyzEntry) -> XyzEntry:
    """Return an entry with what its server's capabilities say; one without them as it is.

    Raises:
        CatalogError: For an environment variable that is not set.
        ImageryError: If they cannot be had, or have no such layer or matrix set.
    """
    if entry.capabilities is None or entry.grid is not None:
        return entry
    address = expanded(entry.capabilities, entry)
    content = fetch_bounded(
        address,
        route_to(address, others=entry.redirects_to),
        "the capabilities",
        MOST_BYTES,
        entry.manners.timeout_s,
    )
    name = redacted(entry.capabilities)
    return entry_from(entry, parse_capabilities(_without_keys(content, entry), name))


def entry_from(entry: XyzEntry, found: Capabilities) -> XyzEntry:
    """Return an entry with layer, matrix set, template, levels and bounds of capabilities.

    Args:
        entry: The entry as it is written.
        found: What the server has.

    Raises:
        ImageryError: If it has no such layer, matrix set, style or format, or its tiles lie with
            another host that the entry does not name.
    """
    layer = found.layers[_chosen("layer", entry.layer, found.layers, entry)]
    known = {name: found.matrix_sets[name] for name in layer.sets if name in found.matrix_sets}
    name = entry.matrix_set
    if name is None:
        quads = [one for one, matrix_set in known.items() if is_quad(matrix_set)]
        name = quads[0] if quads else None
    name = _chosen("matrix_set", name, known, entry)
    bounds = _usable(layer.bounds)
    grid, tile_px = grid_of(known[name], layer.sets[name], layer.id, bounds)
    url = _template(entry, layer, name, found.get_tile)
    levels = len(grid.levels) - 1
    fields = entry.model_dump(exclude_unset=True) | {
        "url": url,
        "grid": grid,
        "tile_px": tile_px,
        "layer": layer.id,
        "matrix_set": name,
        "bounds": entry.bounds or bounds,
        "min_zoom": min(entry.min_zoom, levels),
        "max_zoom": min(entry.max_zoom, levels) if "max_zoom" in entry.model_fields_set else levels,
    }
    try:
        return XyzEntry.model_validate(fields)
    except ValidationError as error:
        first = str(error.errors(include_url=False)[0]["msg"])
        raise ImageryError(
            f"the capabilities at {redacted(entry.capabilities or '')} do not go with the entry: "
            f"{redacted(first)[:200]}",
            remedy="correct the entry",
        ) from None


def _chosen(field: str, wanted: str | None, there: Collection[str], entry: XyzEntry) -> str:
    if wanted in there:
        return str(wanted)
    if wanted is None and len(there) == 1:
        return next(iter(there))
    what, where = field.replace("_", " "), redacted(entry.capabilities or "")
    some = ", ".join(list(there)[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "")
    if wanted is None:
        raise ImageryError(
            f"{where} has {len(there)} {what}s that can be read",
            expected=f"one of {some}" if there else "at least one",
            remedy=f"name one with {field}:",
        )
    near = difflib.get_close_matches(wanted, there, n=1, cutoff=0.5)
    raise ImageryError(
        f"{where} has no {what} {wanted}",
        expected=f"one of {some}",
        remedy=f"did you mean {near[0]}?" if near else f"correct {field}:",
    )


def _usable(
    bounds: tuple[float, float, float, float] | None,
) -> tuple[float, float, float, float] | None:
    if bounds is None:
        return None
    west, south, east, north = bounds
    box = (max(west, -180.0), max(south, -90.0), min(east, 180.0), min(north, 90.0))
    whole = box[0] < box[2] and box[1] < box[3]
    return box if whole and box != (-180.0, -90.0, 180.0, 90.0) else None


def _template(entry: XyzEntry, layer: Layer, matrix_set: str, get_tile: str) -> str:
    formats = [kind for kind in (*layer.templates, *layer.formats) if _plain(kind) in _READ]
    if not formats:
        raise ImageryError(
            f"layer {layer.id} has tiles of {', '.join(layer.formats) or 'no format'}",
            expected="images: JPEG, PNG or WebP",
            remedy="choose another with layer:",
        )
    style = layer.styles[0] if layer.styles else "default"
    if entry.style is not None:
        style = _chosen("style", entry.style, layer.styles, entry)
    values = {"style": style, "tilematrixset": matrix_set, "layer": layer.id}
    own = {name.lower(): value for name, value in entry.dimensions.items()}
    for unknown in own.keys() - {name.lower() for name in layer.dimensions}:
        _chosen("dimensions", unknown, [name.lower() for name in layer.dimensions], entry)
    for name, (default, there) in layer.dimensions.items():
        value = own.get(name.lower()) or default or (there[-1] if there else "default")
        values[name.lower()] = value
    if layer.templates:
        kind = next((one for one in formats if one in layer.templates), "")
        url = _filled(layer.templates[kind], values, layer)
    else:
        url = _by_parameters(get_tile, layer, formats[0], values)
    return _checked(url, entry)


def _filled(template: str, values: dict[str, str], layer: Layer) -> str:
    tile = {name.lower(): name for name in _TILE}

    def fill(match: re.Match[str]) -> str:
        name = match[1].lower()
        if name in tile:
            return f"{{{tile[name]}}}"
        if name not in values:
            raise ImageryError(
                f"the template of layer {layer.id} has a place {match[1][:40]}, no dimension of it",
                remedy="write its address in url: yourself",
            )
        return quote(values[name], safe=":,")

    return _PLACE.sub(fill, template)


def _by_parameters(get_tile: str, layer: Layer, kind: str, values: dict[str, str]) -> str:
    if not get_tile:
        raise ImageryError(
            f"layer {layer.id} has no address for its tiles",
            remedy="write it in url: yourself",
        )
    said = {
        "SERVICE": "WMTS",
        "REQUEST": "GetTile",
        "VERSION": "1.0.0",
        "LAYER": layer.id,
        "STYLE": values["style"],
        "FORMAT": kind,
        "TILEMATRIXSET": values["tilematrixset"],
        **{name.upper(): values[name.lower()] for name in layer.dimensions},
    }
    tile = "&".join(f"{name.upper()}={{{name}}}" for name in _TILE)
    end = "" if get_tile.endswith(("?", "&")) else "&" if "?" in get_tile else "?"
    return f"{get_tile}{end}{urlencode(said)}&{tile}"


def _checked(url: str, entry: XyzEntry) -> str:
    """Return the whole address of tiles, if the entry names its host or allows it."""
    try:
        url = urljoin(entry.capabilities or "", url)
        there, own = Host.of(url), Host.of(entry.capabilities or "")
    except ValueError:
        raise ImageryError(
            "the capabilities give no http or https address for tiles",
            remedy="write it in url: yourself",
        ) from None
    if there.name == own.name and there.port in (own.port, 443):
        return url
    if there.name in entry.redirects_to or str(there) in entry.redirects_to:
        return url
    raise ImageryError(
        f"the capabilities at {own} have their tiles at {urlsplit(url).netloc[:100]}, another host",
        remedy=f"list {there.name} in redirects_to: of the entry if you trust it",
    )


def _plain(kind: str) -> str:
    return kind.partition(";")[0].strip().lower()


def _without_keys(content: bytes, entry: XyzEntry) -> bytes:
    """Return a document with keys of ours, which servers put into addresses, as ${NAME} again."""
    # What is no key of the entry's is not put in for it later.
    content = content.replace(b"${", b"$ {")
    for name in entry.env:
        value = os.environ.get(name, "")
        if len(value) >= 6 and not is_setting(name):
            content = content.replace(value.encode(), f"${{{name}}}".encode())
    return content
