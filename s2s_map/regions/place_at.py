"""The other way round: which shipped place a point lies in, and the outlines within a box."""

from __future__ import annotations

from typing import Any

import shapely

from s2s_map.regions.places import outlines_within, shipped_places


def place_at(lon: float, lat: float) -> str | None:
    """Return the first-level unit and country around a point, such as "Paraná, Brazil".

    Args:
        lon: Degrees east, WGS 84.
        lat: Degrees north.

    Returns:
        None at sea, and where nothing ships.
    """
    box = (lon, lat, lon, lat)
    point = shapely.Point(lon, lat)
    countries = {p.row: p for p in shipped_places() if not p.is_unit and not p.parts}
    units = {p.row: p for p in shipped_places() if p.is_unit and not p.parts}
    found = [
        places[row].name
        for layer, places in (("units", units), ("countries", countries))
        for row, outline in outlines_within(layer, box)
        if row in places and outline.contains(point)
    ]
    return ", ".join(dict.fromkeys(found)) or None


def outlines(
    bounds: tuple[float, float, float, float], tolerance: float, *, units: bool
) -> dict[str, Any]:
    """Return outlines and names within a box as GeoJSON.

    Args:
        bounds: (west, south, east, north) in degrees.
        tolerance: By how much outlines may be simplified, degrees.
        units: First-level units; else countries.

    Returns:
        Lines with the property ``kind`` "outline", and points with a ``name``, each within its
        place and the box.
    """
    places = {p.row: p for p in shipped_places() if p.is_unit == units and not p.parts}
    layer = "units" if units else "countries"
    box = shapely.box(*bounds)
    lines, names = [], []
    for row, outline in outlines_within(layer, bounds):
        simple = shapely.make_valid(shapely.simplify(outline, tolerance))
        shown = simple.intersection(box)
        if shown.is_empty:
            continue
        # Lines alone: cut areas would have the box's edges for borders.
        border = shapely.boundary(simple).intersection(box)
        if not border.is_empty:
            lines.append(_feature(border, {"kind": "outline"}))
        parts = [part for part in shapely.get_parts(shown) if part.area > 0]
        if row in places and parts:
            largest = max(parts, key=lambda part: part.area)
            about = {"kind": "name", "name": places[row].name, "size": round(largest.area, 4)}
            names.append(_feature(largest.representative_point(), about))
    return {"type": "FeatureCollection", "features": [*lines, *names]}


def _feature(geometry: Any, properties: dict[str, Any]) -> dict[str, Any]:
    rounded = shapely.set_precision(geometry, 1e-4)
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": shapely.geometry.mapping(rounded),
    }
