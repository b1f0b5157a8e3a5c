"""Values of a finished map at places, read window by window."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from s2s_map.errors import DataError, StoreError
from s2s_map.rasters.cells import StoredCells
from s2s_map.rasters.maps import read_maps, read_maps_grid

MAPS = "maps.zarr"
_WINDOW = 512


@dataclass(frozen=True)
class MapLayer:
    """One layer of a map: of a run's folder, or a GeoTIFF.

    Attributes:
        source: What GDAL opens.
        band: Band of it.
        title: For people.
        probability: Whether its values are probabilities.
        method: How they came about; empty: not known.
        geobox: Shape, transform and CRS.
    """

    source: str
    band: int
    title: str
    probability: bool
    method: str
    geobox: GeoBox

    def read(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Read cells, NaN for no data."""
        window = Window.from_slices(rows, columns)
        with _opened(self.source) as source:
            cells = source.read(self.band, window=window, masked=True)
        return np.asarray(np.ma.filled(cells.astype(np.float64), np.nan))

    def values_at(
        self, longitude: NDArray[np.float64], latitude: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Values of the cells that places lie in; NaN outside and for no data.

        Args:
            longitude: Degrees east, WGS 84, (n,).
            latitude: Degrees north, (n,).
        """
        from pyproj import Transformer

        crs = self.geobox.crs
        if crs is None:  # pragma: no cover  (refused when opened)
            raise DataError(f"{self.source} has no CRS")
        to_map = Transformer.from_crs("EPSG:4326", crs.to_wkt(), always_xy=True)
        x, y = to_map.transform(longitude, latitude)
        column, row = ~self.geobox.transform * (np.asarray(x), np.asarray(y))
        found = np.full(len(longitude), np.nan)
        ny, nx = self.geobox.shape
        with np.errstate(invalid="ignore"):
            inside = (row >= 0) & (row < ny) & (column >= 0) & (column < nx)
        rows = np.where(inside, row, 0).astype(np.int64)
        columns = np.where(inside, column, 0).astype(np.int64)
        parts = (rows // _WINDOW) * (-(-nx // _WINDOW)) + columns // _WINDOW
        for part in np.unique(parts[inside]):
            here = np.flatnonzero(inside & (parts == part))
            top, left = (int(v[here[0]]) // _WINDOW * _WINDOW for v in (rows, columns))
            cells = self.read(
                slice(top, min(top + _WINDOW, ny)), slice(left, min(left + _WINDOW, nx))
            )
            found[here] = cells[rows[here] - top, columns[here] - left]
        return found


def open_layer(
    path: Path, layer: str | None = None, slot: str | None = None, values: str = "probability"
) -> MapLayer:
    """Open one layer of a finished run, or a GeoTIFF.

    Args:
        path: Output folder of a run, or a GeoTIFF of any origin, whose band 1 counts.
        layer: Name of the layer of a run; may be left out if it has one.
        slot: Label of the time slot; may be left out if it has one.
        values: "probability" or "similarity", for runs.

    Raises:
        StoreError: If it does not open.
        DataError: If it has no such layer or time slot.
    """
    if path.is_file():
        return _geotiff(path, values)
    layers = {one.name: one for one in read_maps(path / MAPS)}
    grid, slots, _ = read_maps_grid(path / MAPS)
    found = layers[_choice("layer", layer, list(layers), path, "--layer")]
    index = slots.index(_choice("time slot", slot, list(slots), path, "--slot"))
    cells = found.probability if values == "probability" else found.similarity
    if not isinstance(cells, StoredCells):  # pragma: no cover  (read_maps gives no other)
        raise StoreError(f"{path} holds no stored layers")
    title = found.title if len(slots) == 1 else f"{found.title}, {slots[index]}"
    likely = values == "probability"
    method = found.method if likely else "cosine similarity"
    return MapLayer(cells.gdal_name(index), 1, title, likely, method, grid.geobox)


def _geotiff(path: Path, values: str) -> MapLayer:
    with _opened(str(path)) as source:
        if source.crs is None:
            raise DataError(f"{path} has no CRS", remedy="give a georeferenced map")
        geobox = GeoBox(source.shape, source.transform, source.crs.to_string())
    # As our own GeoTIFFs are: probability and then similarity.
    band = 1 if values == "probability" else 2
    with _opened(str(path)) as source:
        if band > source.count:
            raise DataError(f"{path} has {source.count} band", expected=f"a band {band}")
        method = source.tags().get("METHOD", "")
    return MapLayer(str(path), band, path.stem, band == 1, method, geobox)


def _choice(what: str, name: str | None, known: list[str], path: Path, option: str) -> str:
    if name is None and len(known) == 1:
        return known[0]
    if name in known:
        return str(name)
    found = f"no {what} {name!r} in {path}" if name else f"{len(known)} {what}s in {path}"
    raise DataError(found, expected=f"one of {', '.join(known)}", remedy=f"name it with {option}")


def _opened(name: str) -> rasterio.io.DatasetReader:
    try:
        return rasterio.open(name)
    except rasterio.errors.RasterioError as error:
        raise StoreError(
            f"{name} does not open as a map ({error})",
            expected="the output folder of a run, or a GeoTIFF",
        ) from error
