"""The region of a run: a place by name, a bounding box, a file, WKT, or the imagery itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import shapely
from odc.geo.crs import CRS
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from s2s_map.config.region_path import FORMATS, file_and_layer
from s2s_map.errors import RegionError
from s2s_map.regions.coverage import Covers
from s2s_map.regions.place_region import place_region
from s2s_map.regions.projections import LONLAT, is_finite, project, survives
from s2s_map.regions.region import Outline, Region
from s2s_map.regions.region_formats import read_polygons

RegionSpec = str | Path | Sequence[float] | None
"""None for the whole imagery; a place by name or code; (west, south, east, north) in degrees; a
path, with a layer after a colon if need be; or WKT in degrees."""

LonLatBounds = tuple[float, float, float, float]

_WKT = re.compile(r"\s*(MULTI)?POLYGON\b", re.IGNORECASE)
_ALL = "all of the imagery"
_SEAM_M = 1000.0
_GIVE = "give a region:"
_EXPECTED = (
    "a country, first-level unit or island; west, south, east, north in degrees; the path of a "
    "GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML or KMZ; or WKT of a polygon"
)


def read_outline(spec: RegionSpec, coverage: Sequence[Covers]) -> Outline:
    """Return the region as the user gave it.

    Args:
        spec: A box, path, WKT or name; None for all that the imagery covers.
        coverage: The outlines of the imagery; none where it may be anywhere.

    Raises:
        RegionError: For a region that cannot be read, is unknown, has no area, or lies outside
            the imagery.
    """
    if spec is None:
        _check_bounded(coverage)
        if all(part.crs == coverage[0].crs for part in coverage):
            union = shapely.unary_union([part.footprint for part in coverage])
            return Outline(union, coverage[0].crs, _ALL)
        parts = [project(part.footprint, part.crs, LONLAT) for part in coverage]
        return Outline(shapely.unary_union(parts), LONLAT, _ALL)
    outline = _read(spec)
    try:
        _check_overlap(outline.geometry, outline.crs, coverage)
    except RegionError as error:
        for other in outline.others:
            part = place_region(other.region)
            if any(_overlaps(part.geometry, part.crs, scene) for scene in coverage):
                raise RegionError(
                    error.found, remedy=f"it covers another part: region: {other.region}"
                ) from None
        raise
    return outline


def load_region(
    spec: RegionSpec, coverage: Sequence[Covers], crs: CRS | str, outline: Outline | None = None
) -> Region:
    """Return the region in the CRS it is mapped in.

    Args:
        spec: What the user gave; None for all that the imagery covers.
        coverage: The outlines of the imagery; none where it may be anywhere.
        crs: Projected CRS in metres.
        outline: What `read_outline` made of the first two, if it was asked already.

    Raises:
        RegionError: For a region that cannot be read, has no area, does not fit in the CRS, or
            lies outside the imagery.
    """
    target = CRS(crs)
    if spec is None:
        return _whole_imagery(coverage, target)
    return project_outline(outline or read_outline(spec, coverage), target)


def project_outline(outline: Outline, target: CRS) -> Region:
    """Return a region in the CRS it is mapped in.

    Parts that a parting at the antimeridian made are joined again where the CRS shows them side
    by side.

    Raises:
        RegionError: For a region that does not fit in the CRS.
    """
    geometry, own = outline.geometry, outline.crs
    if not survives(geometry, own, target) or _torn(outline, target):
        raise RegionError(
            f"a region at {_degrees(outline.extent.bounds)}",
            expected=f"one that fits in {target}",
            remedy="name a crs: that covers it",
        )
    polygon = polygons(shapely.make_valid(project(geometry, own, target)))
    if shapely.get_num_geometries(polygon) > 1:
        polygon = shapely.unary_union(polygon)
    return Region(polygon, _bounds(polygon), target)


def _torn(outline: Outline, target: CRS) -> bool:
    """Whether the CRS puts both sides of the antimeridian at opposite ends of the map."""
    extent = outline.extent
    if not extent.holds_longitude(180.0) or extent.width > 350.0:
        return False
    lat = (extent.south + extent.north) / 2.0
    to_target = LONLAT.transformer_to_crs(target, always_xy=True)
    (x0, x1), (y0, y1) = to_target([179.9999, -179.9999], [lat, lat])
    return bool(abs(x1 - x0) + abs(y1 - y0) > _SEAM_M)


def _whole_imagery(scenes: Sequence[Covers], target: CRS) -> Region:
    _check_bounded(scenes)
    footprints = [project(scene.footprint, scene.crs, target) for scene in scenes]
    if not footprints or not all(map(is_finite, footprints)):
        raise RegionError(f"imagery that reaches beyond what {target} can show", remedy=_GIVE)
    union = shapely.unary_union(footprints)
    # One scene that is upright in the region's CRS fills its bounds.
    upright = len(scenes) == 1 and scenes[0].crs == target and union.equals(union.envelope)
    return Region(None if upright else union, _bounds(union), target)


def _check_bounded(scenes: Sequence[Covers]) -> None:
    if not scenes:
        raise RegionError("no region, and imagery without bounds of its own", remedy=_GIVE)


def _read(spec: str | Path | Sequence[float]) -> Outline:
    if not isinstance(spec, str | Path):
        outline = Outline(_from_bounds(spec), LONLAT, "a bounding box")
    elif isinstance(spec, str) and _WKT.match(spec):
        outline = Outline(_from_wkt(spec), LONLAT, "a polygon")
    elif isinstance(spec, Path) or _is_path(spec):
        path, layer = (spec, None) if Path(spec).is_file() else file_and_layer(str(spec))
        outline = Outline(*read_polygons(Path(path), layer), name=Path(spec).name)
    else:
        return place_region(spec)
    geometry = outline.geometry
    if geometry.is_empty or not is_finite(geometry) or geometry.area <= 0.0:
        raise RegionError("a region without area", expected=_EXPECTED)
    return outline


def _is_path(text: str) -> bool:
    path, _ = file_and_layer(text)
    return bool(path.suffix.lower() in FORMATS or "/" in text or path.is_file())


def _from_bounds(bounds: Sequence[float]) -> BaseGeometry:
    if len(bounds) != 4:
        raise RegionError(f"a region of {len(bounds)} numbers", expected=_EXPECTED)
    west, south, east, north = (float(b) for b in bounds)
    if not (-180.0 <= west <= 180.0 and -180.0 <= east <= 180.0):
        raise RegionError(f"longitudes {west:g} and {east:g}", expected="-180 to 180 degrees")
    if not (-90.0 <= south < north <= 90.0):
        raise RegionError(
            f"latitudes from {south:g} to {north:g}",
            expected="south below north, from -90 to 90 degrees",
            remedy="the order is west, south, east, north",
        )
    if west == east:
        raise RegionError(f"longitudes from {west:g} to {east:g}", expected="west and east apart")
    if west > east:
        return _across(west, south, east, north)
    return shapely.box(west, south, east, north)


def _across(west: float, south: float, east: float, north: float) -> BaseGeometry:
    """Both sides of the antimeridian, from west to the smaller east."""
    if west - east < 180.0:
        raise RegionError(
            f"longitudes from {west:g} east to {east:g}, {360.0 - west + east:g} degrees across "
            "the antimeridian",
            expected="west below east, or less than half of the Earth",
            remedy="the order is west, south, east, north",
        )
    sides = [(west, 180.0), (-180.0, east)]
    return shapely.multipolygons([shapely.box(w, south, e, north) for w, e in sides if w < e])


def _from_wkt(text: str) -> BaseGeometry:
    try:
        geometry = shapely.from_wkt(text)
    except ShapelyError as error:
        raise RegionError(f"WKT that does not parse ({error})", expected=_EXPECTED) from error
    west, south, east, north = geometry.bounds if not geometry.is_empty else (0, 0, 0, 0)
    if west < -180.0 or east > 180.0 or south < -90.0 or north > 90.0:
        raise RegionError(
            f"WKT with coordinates from ({west:g}, {south:g}) to ({east:g}, {north:g})",
            expected="longitude and latitude in degrees",
        )
    return polygons(shapely.make_valid(geometry))


def polygons(geometry: BaseGeometry) -> BaseGeometry:
    """Return what has an area of a geometry: repairing leaves lines and points beside it."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    kept = [part for part in parts if part.geom_type == "Polygon"]
    return kept[0] if len(kept) == 1 else shapely.MultiPolygon(kept)


def _check_overlap(geometry: BaseGeometry, crs: CRS, scenes: Sequence[Covers]) -> None:
    if not scenes:
        return
    if any(_overlaps(geometry, crs, scene) for scene in scenes):
        return
    imagery = _lonlat_bounds([(scene.footprint, scene.crs) for scene in scenes])
    raise RegionError(
        f"the region at {_degrees(_lonlat_bounds([(geometry, crs)]))} lies outside the imagery at "
        f"{_degrees(imagery)}",
        remedy="the order is west, south, east, north; choose a region within the imagery",
    )


def _overlaps(geometry: BaseGeometry, crs: CRS, scene: Covers) -> bool:
    if survives(geometry, crs, scene.crs):
        return bool(
            shapely.make_valid(project(geometry, crs, scene.crs)).intersects(scene.footprint)
        )
    # Far away, or so large that a part of it has no place in the scene's CRS: the scene has one in
    # that of the region.
    there = project(scene.footprint, scene.crs, crs)
    return not is_finite(there) or bool(shapely.make_valid(there).intersects(geometry))


def _lonlat_bounds(shapes: Sequence[tuple[BaseGeometry, CRS]]) -> LonLatBounds:
    bounds = [_bounds(project(geometry, crs, LONLAT)) for geometry, crs in shapes]
    west, south, east, north = zip(*bounds, strict=True)
    return min(west), min(south), max(east), max(north)


def _bounds(geometry: BaseGeometry) -> tuple[float, float, float, float]:
    minx, miny, maxx, maxy = (float(edge) for edge in geometry.bounds)
    return minx, miny, maxx, maxy


def _degrees(bounds: LonLatBounds) -> str:
    west, south, east, north = bounds
    return f"[{west:.4f}, {south:.4f}, {east:.4f}, {north:.4f}] (west, south, east, north)"
