"""From a matrix set as a server writes it to the grids of its levels."""

from __future__ import annotations

import math
import re

from morecantile import Tile
from morecantile.models import TileMatrixSet
from morecantile.utils import meters_per_unit
from pydantic import ValidationError
from pyproj import CRS
from pyproj.exceptions import CRSError

from s2s_map.config.tilegrid import GridLevel, TileGrid
from s2s_map.errors import ImageryError
from s2s_map.imagery.sources.xyz.capabilities import Limits, Matrix, MatrixSet
from s2s_map.imagery.sources.xyz.webtile import HALF_WORLD_M

SIDES = (256, 512)
"""Sides of web tiles that are read, pixels."""

_EPSG = re.compile(r"(?:urn:(?:x-)?ogc:def:crs:)?EPSG:(?:[\d.]*:)*(\d+)", re.IGNORECASE)
# Codes that servers had for web mercator before it had its own.
_MERCATOR = {"900913", "3785", "102100", "102113", "3587"}
_CRS84 = re.compile(r"CRS:?84$|IGNF:WGS84G$", re.IGNORECASE)
_NEAR = 1e-3
_MOST_LEVELS = 25
# Side of a pixel that scale denominators are reckoned with, metres.
_PIXEL_M = 0.28e-3


def crs_of(text: str) -> CRS:
    """Return the CRS that a server names.

    Raises:
        CRSError: For one that is not known, or has neither degrees nor a projection.
    """
    if _CRS84.search(text.strip()):
        return CRS.from_user_input("OGC:CRS84")
    match = _EPSG.fullmatch(text.strip())
    if match is None:
        raise CRSError("no code of EPSG")
    crs = CRS.from_epsg(3857 if match[1] in _MERCATOR else int(match[1]))
    if not (crs.is_projected or crs.is_geographic):
        raise CRSError("neither degrees nor a projection")
    return crs


def is_quad(matrix_set: MatrixSet) -> bool:
    """Return whether a matrix set is web mercator's quad, or levels of it."""
    try:
        crs = crs_of(matrix_set.crs)
    except CRSError:
        return False
    return crs.to_epsg() == 3857 and all(_is_quad(matrix) for matrix in matrix_set.matrices)


def grid_of(
    matrix_set: MatrixSet,
    limits: Limits,
    layer: str,
    bounds: tuple[float, float, float, float] | None,
) -> tuple[TileGrid, int]:
    """Return the levels of a matrix set, the coarsest first, and the side of its tiles in pixels.

    Sizes and corners are morecantile's. Which number of a corner comes first is as the CRS has it,
    but where that puts all tiles beside the layer and the other order does not: servers differ.

    Args:
        matrix_set: The matrix set.
        limits: Which tiles of its matrices the layer has.
        layer: Identifier of the layer.
        bounds: West, south, east, north of the layer, in degrees.

    Raises:
        ImageryError: For a CRS that is not known, or tiles that are not read.
    """
    name = f"matrix set {matrix_set.id}"
    sides = [m.tile_px for m in matrix_set.matrices if m.tile_px[0] == m.tile_px[1]]
    # Of several sides the most frequent.
    read = sorted({px for px, _ in sides if px in SIDES})
    side = max(read, key=lambda px: sides.count((px, px)), default=0)
    wanted = [
        matrix
        for matrix in matrix_set.matrices
        if matrix.tile_px == (side, side) and (not limits or matrix.id in limits)
    ]
    if not wanted:
        raise ImageryError(
            f"{name} has no square tiles of {' or '.join(map(str, SIDES))} pixels that layer "
            f"{layer} has",
            remedy="choose another with matrix_set:",
        )
    try:
        crs = crs_of(matrix_set.crs)
        found = _levels(wanted, limits, crs, swapped=False)
        if not _meets(found, side, crs, bounds):
            other = _levels(wanted, limits, crs, swapped=True)
            found = other if _meets(other, side, crs, bounds) else found
        # Levels beyond are of centimetres.
        found = sorted(found, key=lambda level: -level.pixel)[:_MOST_LEVELS]
        written = f"EPSG:{crs.to_epsg() or 4326}"
        grid = TileGrid(layer=layer, matrix_set=matrix_set.id, crs=written, levels=tuple(found))
    except (CRSError, ValidationError, ValueError, ZeroDivisionError) as error:
        first = str(error).splitlines()[0]
        raise ImageryError(
            f"{name} in {matrix_set.crs[:80]} cannot be read ({first[:120]})",
            expected="a CRS of EPSG, and matrices of finite size",
            remedy="choose another with matrix_set:",
        ) from None
    return grid, side


def _is_quad(matrix: Matrix) -> bool:
    west, north = matrix.corner
    world = 2.0 * HALF_WORLD_M
    width = matrix.denominator * _PIXEL_M * matrix.tile_px[0] * matrix.size[0]
    return (
        matrix.tile_px in {(side, side) for side in SIDES}
        and abs(west + HALF_WORLD_M) < world * _NEAR
        and abs(north - HALF_WORLD_M) < world * _NEAR
        and abs(width - world) < world * _NEAR
        and matrix.size[0] == matrix.size[1]
        and math.log2(matrix.size[0]).is_integer()
    )


def _levels(matrices: list[Matrix], limits: Limits, crs: CRS, *, swapped: bool) -> list[GridLevel]:
    tms = TileMatrixSet.model_validate(
        {
            "crs": {"wkt": crs.to_json_dict()},
            "tileMatrices": [
                {
                    "id": str(index),
                    "scaleDenominator": matrix.denominator,
                    "cellSize": matrix.denominator * _PIXEL_M / meters_per_unit(crs),
                    "pointOfOrigin": matrix.corner[::-1] if swapped else matrix.corner,
                    "tileWidth": matrix.tile_px[0],
                    "tileHeight": matrix.tile_px[1],
                    "matrixWidth": matrix.size[0],
                    "matrixHeight": matrix.size[1],
                }
                for index, matrix in enumerate(matrices)
            ],
        }
    )
    found = []
    for index, matrix in enumerate(matrices):
        first = tms.xy_bounds(Tile(0, 0, index))
        left_edge, top_edge = first.left, first.top
        pixel = (first.right - first.left) / matrix.tile_px[0]
        if crs.to_epsg() == 3857 and _is_quad(matrix):
            # As it is meant: some servers round it to metres.
            left_edge, top_edge = -HALF_WORLD_M, HALF_WORLD_M
            pixel = 2.0 * HALF_WORLD_M / (matrix.tile_px[0] * matrix.size[0])
        across, down = matrix.size
        top, bottom, left, right = limits.get(matrix.id, (0, down - 1, 0, across - 1))
        if not (0 <= top <= bottom < down and 0 <= left <= right < across):
            # Some servers count them in another way, beyond the matrix: all of it, then.
            top, bottom, left, right = 0, down - 1, 0, across - 1
        found.append(
            GridLevel(
                id=matrix.id,
                pixel=pixel,
                left=left_edge,
                top=top_edge,
                columns=(left, right + 1),
                rows=(top, bottom + 1),
            )
        )
    return found


def _meets(
    levels: list[GridLevel],
    side: int,
    crs: CRS,
    bounds: tuple[float, float, float, float] | None,
) -> bool:
    """Return whether the tiles of a level lie where the layer does."""
    from pyproj import Transformer

    area = crs.area_of_use
    around = bounds or (area.bounds if area is not None else (-180.0, -90.0, 180.0, 90.0))
    to_crs = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
    west, south, east, north = to_crs.transform_bounds(*around, densify_pts=21)
    if not all(map(math.isfinite, (west, south, east, north))):
        return True
    finest = min(levels, key=lambda level: level.pixel)
    size = finest.pixel * side
    right, bottom = finest.left + size * finest.columns[1], finest.top - size * finest.rows[1]
    return finest.left < east and right > west and bottom < north and finest.top > south
