"""How each of the countries that ship is mapped by its name: the rows of a table."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from s2s_map.regions.place_region import place_region
from s2s_map.regions.places import Place, shipped_places
from s2s_map.regions.region import Outline
from s2s_map.tiling.splitting import Piece, shown, split_region

TABLE = Path(__file__).parent / "data" / "places" / "countries.csv"
COLUMNS = (
    "code",
    "place",
    "crs",
    "distance_error",
    "land_share",
    "parts",
    "main_share",
    "maps",
    "worst_distance_error",
    "least_land_share",
    "largest_scattered_km2",
)


@dataclass(frozen=True)
class Row:
    """A country's main part on one map, and its pieces where that does not show it well."""

    place: Place
    outline: Outline
    whole: Piece
    pieces: list[Piece]

    @property
    def main_share(self) -> float:
        """Share of the place's area in its main part."""
        rest = sum(other.area_km2 for other in self.outline.others)
        return self.whole.area_km2 / (self.whole.area_km2 + rest)

    @property
    def scattered(self) -> list[float]:
        """Grids, km2, of the pieces that are too small to be parted."""
        thin = [piece for piece in self.pieces if piece.land_share < 0.15]
        return [piece.area_km2 / piece.land_share for piece in thin]

    def fields(self) -> dict[str, str]:
        """The row as text."""
        return dict(
            zip(
                COLUMNS,
                (
                    self.place.codes[0] if self.place.codes else "",
                    self.place.name,
                    self.whole.crs,
                    f"{self.whole.distance_error:.4f}",
                    f"{self.whole.land_share:.4f}",
                    str(1 + len(self.outline.others)),
                    f"{self.main_share:.4f}",
                    str(len(self.pieces)),
                    f"{max(piece.distance_error for piece in self.pieces):.4f}",
                    f"{min(piece.land_share for piece in self.pieces):.4f}",
                    f"{max(self.scattered, default=0.0):.0f}",
                ),
                strict=True,
            )
        )


def countries() -> list[Place]:
    """The countries that ship, 255 of them."""
    return [place for place in shipped_places() if not place.is_unit]


def rows() -> Iterator[Row]:
    """Compute the row of every country."""
    for place in countries():
        outline = place_region(place.codes[0] if place.codes else place.name)
        whole = shown(outline)
        pieces = [whole] if whole.is_shown_well else split_region(outline)
        yield Row(place, outline, whole, pieces)


def table() -> dict[str, dict[str, str]]:
    """Read the table, by place."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        return {row["place"]: row for row in csv.DictReader(stream)}
