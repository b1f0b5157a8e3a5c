"""A matrix set of web tiles: where the tiles of each level lie, in any CRS."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from s2s_map.config.checked import Checked

_Index = Annotated[int, Field(ge=0, le=2**31)]
_Coordinate = Annotated[float, Field(ge=-1e9, le=1e9)]


class GridLevel(Checked):
    """A level, a tile matrix in WMTS's words."""

    id: str = Field(min_length=1, max_length=200, description="What {TileMatrix} is for it.")
    pixel: float = Field(gt=0, le=1e7, description="Side of a pixel, in units of the CRS.")
    left: _Coordinate = Field(description="West edge of the first column.")
    top: _Coordinate = Field(description="North edge of the first row.")
    columns: tuple[_Index, _Index] = Field(description="First column, and that behind the last.")
    rows: tuple[_Index, _Index] = Field(description="First row, and that behind the last.")


class TileGrid(Checked):
    """A matrix set, the coarsest level first; as a server's capabilities have it."""

    layer: str = Field(max_length=500, description="The layer.")
    matrix_set: str = Field(max_length=500, description="Name of the matrix set.")
    crs: str = Field(max_length=200, description="CRS of the tiles, such as EPSG:2056.")
    levels: Annotated[tuple[GridLevel, ...], Field(min_length=1, max_length=64)] = Field(
        description="Levels, the coarsest first."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        pixels = [level.pixel for level in self.levels]
        if pixels != sorted(pixels, reverse=True):
            raise ValueError("levels go from the coarsest to the finest")
        return self
