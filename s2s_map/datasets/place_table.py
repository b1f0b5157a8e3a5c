"""Tables with a place in each row: CSV as people and GBIF write it, and files with points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

LONGITUDE = ("lon", "longitude", "decimallongitude", "lng", "x")
LATITUDE = ("lat", "latitude", "decimallatitude", "y")
"""Names of the columns, in small letters; the first is what messages call them."""

FORMATS = "CSV, GeoParquet, GeoPackage or GeoJSON"
_TEXT_FILES = frozenset({".csv", ".tsv", ".txt"})


@dataclass(frozen=True, eq=False)
class PlaceTable:
    """A table, and where its rows are.

    Attributes:
        path: The file.
        frame: Its rows; of a text file all columns are texts as they stand there.
        longitude: Degrees east in -180..180, (n,); NaN where there is no place.
        latitude: Degrees north, (n,).
        faults: Why a row has no place, (n,); "" where it has one.
    """

    path: Path
    frame: pd.DataFrame
    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    faults: NDArray[np.object_]

    def column(self, names: Iterable[str]) -> str | None:
        """The first column that bears one of some names (in small letters), as the file has it."""
        there = _columns(self.frame)
        return next((there[name] for name in names if name in there), None)

    @property
    def maybe_metres(self) -> bool:
        """Whether some coordinates are too large for degrees."""
        return bool((self.faults == OFF_EARTH).any())


NO_NUMBERS = "lon and lat are not numbers"
OFF_EARTH = "lon and lat are not on Earth"


def read_places(
    path: Path, needed: Mapping[str, Sequence[str]] | None = None, expected: str = ""
) -> PlaceTable:
    """Read a table: CSV (commas, semicolons or tabs), or points in any file that GDAL reads.

    Longitudes up to 360 either way are taken, as some tables count from 0 to 360.

    Args:
        path: The file.
        needed: Columns that it must have beside lon and lat: names by what messages call them.
        expected: What messages say of the columns; "": lon and lat.

    Raises:
        DataError: If it does not open or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"no file {path}", remedy="check the path")
    frame = _read_text(path) if path.suffix.lower() in _TEXT_FILES else _read_points(path)
    there = _columns(frame)
    wanted = {"lon": LONGITUDE, "lat": LATITUDE, **(needed or {})}
    missing = [called for called, names in wanted.items() if not there.keys() & set(names)]
    if missing:
        raise DataError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}",
            expected=expected or "lon and lat in degrees",
            remedy=f"its columns are {', '.join(map(str, frame.columns)) or 'none'}",
        )
    import pandas as pd

    longitude, latitude = (
        pd.to_numeric(
            frame[next(there[name] for name in names if name in there)], errors="coerce"
        ).to_numpy(np.float64)
        for names in (LONGITUDE, LATITUDE)
    )
    faults = np.full(len(frame), "", dtype=object)
    known = np.isfinite(longitude) & np.isfinite(latitude)
    faults[~known] = NO_NUMBERS
    faults[known & ((np.abs(latitude) > 90) | (np.abs(longitude) > 360))] = OFF_EARTH
    place = np.stack([longitude, latitude])
    place[:, faults != ""] = np.nan
    place[0] = np.where(np.abs(place[0]) > 180, (place[0] + 180) % 360 - 180, place[0])
    return PlaceTable(path, frame, place[0], place[1], faults)


def _columns(frame: pd.DataFrame) -> dict[str, str]:
    return {str(column).strip().lower(): column for column in frame.columns}


def _read_text(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            heading = file.readline()
        separator = max(",;\t", key=heading.count)
        frame = pd.read_csv(
            path, sep=separator, encoding="utf-8-sig", dtype=str, keep_default_na=False
        )
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise _unreadable(path, " ".join(str(error).split())) from None
    if len(frame) and not isinstance(frame.index, pd.RangeIndex):
        # pandas takes what is too much for names of rows: each value would be of the next column.
        raise _unreadable(path, "its rows have more fields than its heading")
    return frame


def _read_points(path: Path) -> pd.DataFrame:
    import geopandas

    try:
        parquet = path.suffix.lower() in (".parquet", ".geoparquet")
        frame = geopandas.read_parquet(path) if parquet else geopandas.read_file(path)
        if frame.crs is not None:
            frame = frame.to_crs("EPSG:4326")
        points = frame.geometry.where(frame.geometry.geom_type == "Point")
    except Exception as error:
        # GDAL, Arrow and PROJ each have errors of their own.
        raise _unreadable(path, f"{type(error).__name__}: {error}") from None
    # The point of a row is its place, whatever else its columns say.
    others = {"lon", "lat", *LONGITUDE, *LATITUDE}
    kept = [c for c in frame.columns if c != frame.geometry.name and str(c).lower() not in others]
    placed: pd.DataFrame = frame[kept].assign(lon=points.x, lat=points.y)
    return placed


def _unreadable(path: Path, reason: str) -> DataError:
    return DataError(
        f"{path} does not open as a table of places ({reason[:200]})",
        expected=f"{FORMATS}, with lon and lat in degrees or points",
    )
