"""The region of a run: from a bounding box, a file, WKT, or the imagery itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import shapely
from odc.geo.crs import CRS
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from s2s_map.catalog.coverage import Covers
from s2s_map.catalog.projecting import LONLAT, is_finite, project, survives
from s2s_map.catalog.region import Region
from s2s_map.errors import RegionError

RegionSpec = str | Path | Sequence[float] | None
"""None for the whole imagery; (west, south, east, north) in degrees; a path; or WKT in degrees."""

LonLatBounds = tuple[float, float, float, float]

_FORMATS = {".geojson", ".json", ".gpkg", ".shp"}
_WKT = re.compile(r"\s*(MULTI)?POLYGON\b", re.IGNORECASE)
_GIVE = "give a region:"
_EXPECTED = (
    "west, south, east, north in degrees; a GeoJSON, GPKG or Shapefile path; or WKT of a polygon"
)


def load_region(spec: RegionSpec, entry_scenes: Sequence[Covers], crs: CRS | str) -> Region:
    """Return the region in the CRS it is mapped in.

    Args:
        spec: What the user gave; None for all that the imagery covers.
        entry_scenes: The outlines of the imagery; none where it may be anywhere.
        crs: Projected CRS in metres.

    Raises:
        RegionError: For a region that cannot be read, has no area, does not fit in the CRS, or
            lies outside the imagery.
    """
    target = CRS(crs)
    if spec is None:
        return _whole_imagery(entry_scenes, target)
    geometry, own = _read(spec)
    _check_overlap(geometry, own, entry_scenes)
    if not survives(geometry, own, target):
        raise RegionError(
            f"a region at {_degrees(_lonlat_bounds([(geometry, own)]))}",
            expected=f"one that fits in {target}",
            remedy="name a crs: that covers it",
        )
    polygon = project(geometry, own, target)
    return Region(polygon, _bounds(polygon), target)


def region_extent(spec: RegionSpec, entry_scenes: Sequence[Covers]) -> LonLatBounds:
    """Return (west, south, east, north) of the region in degrees, to choose a CRS by.

    Raises:
        RegionError: For a region that cannot be read or has no area.
    """
    if spec is None:
        _check_bounded(entry_scenes)
        return _lonlat_bounds([(scene.footprint, scene.crs) for scene in entry_scenes])
    return _lonlat_bounds([_read(spec)])


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


def _read(spec: str | Path | Sequence[float]) -> tuple[BaseGeometry, CRS]:
    if isinstance(spec, str | Path):
        if isinstance(spec, str) and _WKT.match(spec):
            geometry, crs = _from_wkt(spec), LONLAT
        else:
            geometry, crs = _from_file(Path(spec))
    else:
        geometry, crs = _from_bounds(spec), LONLAT
    if geometry.is_empty or not is_finite(geometry) or geometry.area <= 0.0:
        raise RegionError("a region without area", expected=_EXPECTED)
    return geometry, crs


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
    if west >= east:
        raise RegionError(
            f"longitudes from {west:g} to {east:g}",
            expected="west below east",
            remedy="split a region across the antimeridian at 180 degrees",
        )
    return shapely.box(west, south, east, north)


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
    return shapely.make_valid(geometry)


def _from_file(path: Path) -> tuple[BaseGeometry, CRS]:
    if not path.is_file():
        raise RegionError(f"no region file {path}", expected=_EXPECTED)
    if path.suffix.lower() not in _FORMATS:
        raise RegionError(f"a region file {path.name}", expected=_EXPECTED)
    # geopandas takes half a second to import, and most regions are no files.
    import geopandas
    from pyogrio.errors import DataSourceError

    try:
        frame = geopandas.read_file(path)
    except DataSourceError as error:
        raise RegionError(f"{path} cannot be read ({error})", expected=_EXPECTED) from error
    shapes = [shapely.make_valid(g) for g in frame.geometry if g is not None]
    polygons = [g for g in shapes if g.area > 0.0]
    if not polygons:
        raise RegionError(f"{path} holds no polygon", expected="polygons of the region")
    if frame.crs is None:
        raise RegionError(
            f"{path} has no CRS", remedy="assign one, or save the region as GeoJSON in lon/lat"
        )
    return shapely.unary_union(polygons), CRS(frame.crs)


def _check_overlap(geometry: BaseGeometry, crs: CRS, scenes: Sequence[Covers]) -> None:
    if not scenes:
        return
    for scene in scenes:
        # In the scene's own CRS: it always fits there.
        there = project(geometry, crs, scene.crs)
        if not is_finite(there) or shapely.make_valid(there).intersects(scene.footprint):
            return
    imagery = _lonlat_bounds([(scene.footprint, scene.crs) for scene in scenes])
    raise RegionError(
        f"the region at {_degrees(_lonlat_bounds([(geometry, crs)]))} lies outside the imagery at "
        f"{_degrees(imagery)}",
        remedy="the order is west, south, east, north; choose a region within the imagery",
    )


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
