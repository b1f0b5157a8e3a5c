"""How a grid is written into attributes, for CF readers, GDAL, GeoZarr readers and ourselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from s2s_map.errors import S2SMapError, StoreError
from s2s_map.outputs.zarr_files import SPATIAL_REF
from s2s_map.tiling.grid import MapGrid

_GRID = "s2s_map:grid"


def spatial_ref_attributes(crs: CRS, transform: Affine) -> dict[str, Any]:
    """Return the attributes of the CF grid mapping variable.

    CF's own parameters, the WKT under CF's and GDAL's names, and GDAL's ``GeoTransform``.

    Args:
        crs: CRS of the cells.
        transform: From (column, row) of cell corners to (x, y) in metres.
    """
    wkt = crs.to_wkt()
    return {
        **crs.proj.to_cf(),
        "crs_wkt": wkt,
        "spatial_ref": wkt,
        "GeoTransform": " ".join(f"{v:.17g}" for v in transform.to_gdal()),
    }


def coordinate_attributes() -> dict[str, dict[str, str]]:
    """Return the CF attributes of the coordinates ``y`` and ``x``, which are cell centres."""
    return {
        name: {
            "standard_name": f"projection_{name}_coordinate",
            "long_name": f"{name} of the cell centre",
            "units": "m",
            "axis": name.upper(),
        }
        for name in ("y", "x")
    }


def variable_attributes(crs: CRS) -> dict[str, Any]:
    """Return the attributes that tie a (..., y, x) variable to its CRS, for CF and for GDAL."""
    return {"grid_mapping": SPATIAL_REF, "_CRS": {"wkt": crs.to_wkt()}}


def spatial_attributes(crs: CRS, transform: Affine, shape: tuple[int, int]) -> dict[str, Any]:
    """Return GeoZarr's projection and spatial keys of a group of (..., y, x) variables.

    Args:
        crs: CRS of the cells.
        transform: From (column, row) of cell corners to (x, y) in metres.
        shape: Cells, rows and columns.
    """
    (ny, nx), t = shape, transform
    return {
        "proj:code": f"EPSG:{crs.epsg}" if crs.epsg else None,
        "proj:wkt2": crs.to_wkt(),
        "spatial:dimensions": ["y", "x"],
        "spatial:shape": [ny, nx],
        "spatial:transform": list(t)[:6],
        "spatial:bbox": [t.c, t.f + ny * t.e, t.c + nx * t.a, t.f],
        "spatial:registration": "pixel",
    }


def group_attributes(grid: MapGrid) -> dict[str, Any]:
    """Return the group's attributes: GeoZarr's projection and spatial keys, and the whole grid.

    `grid_from_attributes` gives the same grid back.
    """
    return {
        **spatial_attributes(grid.crs, grid.transform, grid.shape),
        _GRID: {
            "crs_wkt": grid.crs.to_wkt(),
            "transform": list(grid.transform)[:6],
            "shape": list(grid.shape),
            "cell_m": grid.cell_m,
            "block_cells": grid.block_cells,
        },
    }


def grid_from_attributes(attributes: Mapping[str, Any], where: object) -> MapGrid:
    """Return the grid that `group_attributes` wrote.

    Args:
        attributes: Attributes of the group.
        where: What to call the group in an error.

    Raises:
        StoreError: For attributes that do not describe a grid.
    """
    try:
        stored = attributes[_GRID]
        ny, nx = (int(n) for n in stored["shape"])
        transform = Affine(*(float(v) for v in stored["transform"]))
        geobox = GeoBox((ny, nx), transform, CRS(stored["crs_wkt"]))
        return MapGrid(geobox, int(stored["cell_m"]), int(stored["block_cells"]))
    except (KeyError, TypeError, ValueError, RuntimeError, S2SMapError) as error:
        raise StoreError(
            f"{where} does not describe its grid ({type(error).__name__}: {error})",
            remedy="it is damaged or not from s2s-map: run again with --overwrite",
        ) from error
