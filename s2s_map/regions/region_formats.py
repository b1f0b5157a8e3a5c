"""Polygons out of region files: GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML and KMZ."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import shapely
from odc.geo.crs import CRS
from shapely.geometry.base import BaseGeometry

from s2s_map.config.region_path import FORMATS
from s2s_map.errors import RegionError
from s2s_map.regions.longitudes import parted

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

EXPECTED = "polygons in a GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML or KMZ file"

# GDAL tells formats by content and has some that lead elsewhere: what a name says must be true.
_MAGIC = {
    ".gpkg": (b"SQLite format 3\0",),
    ".shp": (b"\0\0\x27\x0a",),
    ".fgb": (b"fgb",),
    ".kmz": (b"PK",),
}
_MOST_TEXT = 50_000_000
_LINES = ("Point", "MultiPoint", "LineString", "MultiLineString")
_EASTINGS, _NORTHINGS = (100_000.0, 1_000_000.0), (0.0, 10_000_000.0)
_TURN, _POLE = 360.0, 90.0
_MERCATOR = 20_040_000.0


def read_polygons(path: Path, layer: str | None = None) -> tuple[BaseGeometry, CRS]:
    """Return all polygons of a file, or of one of its layers, as one, and their CRS.

    Args:
        path: The file.
        layer: Which layer; None for the only one that may hold polygons. Of KML, whose folders are
            layers, all of them.

    Raises:
        RegionError: For a file that is not of its format, holds no polygon, has several layers
            and none is named, has no CRS, or coordinates that are not degrees where they should be.
    """
    if not path.is_file():
        raise RegionError(f"no region file {path}", expected=EXPECTED)
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise RegionError(f"a region file {path.name}", expected=EXPECTED)
    _check_content(path, kind)
    if kind not in (".kml", ".kmz"):
        return _read(path, path, layer, together=False)
    text = _kml(path, _from_kmz(path) if kind == ".kmz" else path.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "doc.kml"
        file.write_text(text)
        try:
            return _read(path, file, layer, together=True)
        except _NoPolygonError as error:
            if "NetworkLink" not in text:
                raise
            raise RegionError(
                error.found, remedy="network links are not followed: save what they lead to"
            ) from None


class _NoPolygonError(RegionError):
    """A file without a polygon, which may lead to others."""


def _check_content(path: Path, kind: str) -> None:
    with path.open("rb") as stream:
        start = stream.read(4096)
    if kind in (".geojson", ".json", ".kml"):
        opening = b"<" if kind == ".kml" else b"{"
        # Beyond a mark of byte order.
        fits = start.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(opening)
        if path.stat().st_size > _MOST_TEXT and kind == ".kml":
            raise _too_large(path)
    else:
        fits = start.startswith(_MAGIC[kind])
    if not fits:
        what = "is empty" if not start else f"is not a {kind[1:]} file, whatever its name says"
        raise RegionError(f"{path} {what}", expected=EXPECTED)


def _from_kmz(path: Path) -> bytes:
    """Return the text of a KMZ, the first at its root; nothing else is taken out of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [info for info in archive.infolist() if info.filename.lower().endswith(".kml")]
            if not texts:
                raise RegionError(f"{path} holds no .kml", expected=EXPECTED)
            first = min(texts, key=lambda info: info.filename.count("/"))
            with archive.open(first) as stream:
                # Its header may say less than there is.
                text = stream.read(_MOST_TEXT + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise RegionError(f"{path} cannot be unpacked ({error})", expected=EXPECTED) from None
    if len(text) > _MOST_TEXT:
        raise _too_large(path)
    return text


def _too_large(path: Path) -> RegionError:
    return RegionError(
        f"{path} holds more than {_MOST_TEXT // 10**6} MB of text",
        remedy="simplify it, or save it as a GeoPackage or FlatGeobuf",
    )


def _kml(path: Path, raw: bytes) -> str:
    """Return the text of a KML that declares nothing: entities can stand for gigabytes or files."""
    is_16_bit = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = raw.decode("utf-16" if is_16_bit else "utf-8", errors="replace")
    if "\0" in text or "<!DOCTYPE" in text.upper() or "<!ENTITY" in text.upper():
        raise RegionError(
            f"{path} declares entities or a document type",
            expected="a plain KML",
            remedy="save it again without",
        )
    if "<kml" not in text and ":kml" not in text:
        raise RegionError(f"{path} is not KML", expected=EXPECTED)
    if "<?xml" in text[:100]:
        # Its encoding is ours now.
        text = text.partition("?>")[2]
    return text.lstrip("\ufeff")


def _read(path: Path, file: Path, layer: str | None, together: bool) -> tuple[BaseGeometry, CRS]:
    # geopandas takes half a second to import, and most regions are not files.
    import geopandas
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # Rings are closed and repaired below; versions of formats are GDAL's business.
            warnings.simplefilter("ignore")
            found = dict(geopandas.list_layers(file).to_numpy())
            names = _layers(path, found, layer, together)
            frames = [geopandas.read_file(file, layer=name, columns=[]) for name in names]
    except (RuntimeError, ValueError, OSError) as error:
        said = " ".join(str(error).replace(str(file), path.name).split())
        raise RegionError(f"{path} cannot be read ({said[:300]})", expected=EXPECTED) from None
    frames = [frame for frame in frames if isinstance(frame, geopandas.GeoDataFrame)]
    if not frames:
        raise _no_polygon(path)
    return _polygons(path, pd.concat(frames) if len(frames) > 1 else frames[0])


def _layers(
    path: Path, found: dict[str, str | None], layer: str | None, together: bool
) -> list[str]:
    listed = ", ".join(
        f"{name} ({kind or 'a table without geometry'})" for name, kind in list(found.items())[:20]
    )
    if layer is not None:
        if layer not in found:
            raise RegionError(
                f"{path} has no layer {layer!r}", expected=f"one of {listed}" if listed else ""
            )
        return [layer]
    some = [name for name, kind in found.items() if _may_hold_polygons(kind)]
    if len(some) > 1 and not together:
        raise RegionError(
            f"{path} has {len(found)} layers: {listed}",
            expected="the name of one",
            remedy=f"name it after a colon: region: '{path.name}:{some[0]}'",
        )
    if not some:
        raise _no_polygon(path, listed)
    return some


def _may_hold_polygons(kind: str | None) -> bool:
    return kind is not None and kind.split()[0] not in _LINES


def _no_polygon(path: Path, what: str = "") -> _NoPolygonError:
    found = f"{path} holds no polygon" + (f", but {what}" if what else "; it is empty")
    return _NoPolygonError(found, expected="polygons of the region")


def _polygons(path: Path, frame: GeoDataFrame) -> tuple[BaseGeometry, CRS]:
    shapes = [shapely.force_2d(g) for g in frame.geometry if g is not None and not g.is_empty]
    polygons = [g for g in (shapely.make_valid(g) for g in shapes) if g.area > 0.0]
    if not polygons:
        kinds = sorted({g.geom_type for g in shapes})
        raise _no_polygon(path, " and ".join(f"{kind}s" for kind in kinds[:3]))
    region = shapely.unary_union(polygons)
    looks = _looks_like(region)
    if frame.crs is None:
        raise RegionError(
            f"{path} has no CRS; its coordinates look like {looks or 'degrees'}",
            remedy=f"give the CRS: ogr2ogr -a_srs EPSG:{'CODE' if looks else '4326'} "
            f"region.gpkg {path.name}",
        )
    crs = CRS(frame.crs)
    if not crs.geographic:
        return region, crs
    if looks:
        raise RegionError(
            f"{path} is in degrees by what it says, but its coordinates look like {looks}",
            remedy=f"give the CRS: ogr2ogr -a_srs EPSG:CODE region.gpkg {path.name}",
        )
    return parted(region, crs), crs


def _looks_like(region: BaseGeometry) -> str:
    """Return what coordinates look like that are not degrees; empty for what may be."""
    west, south, east, north = region.bounds
    span = f"({west:.10g} {south:.10g} to {east:.10g} {north:.10g})"
    far_x, far_y = max(abs(west), abs(east)), max(abs(south), abs(north))
    if far_x <= _TURN and far_y <= _POLE:
        return ""
    if far_x <= _POLE and far_y <= _TURN:
        return f"latitude before longitude {span}"
    eastings = _EASTINGS[0] <= west and east <= _EASTINGS[1]
    if eastings and _NORTHINGS[0] <= south and north <= _NORTHINGS[1]:
        return f"UTM metres {span}, of a zone that they do not tell"
    if max(far_x, far_y) <= _MERCATOR:
        return f"metres of a projection, such as Web Mercator {span}"
    return f"no place on the Earth {span}"
