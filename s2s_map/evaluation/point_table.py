"""Tables of geotagged observations: CSV as people and GBIF write it, and files with geometries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

LONGITUDE = ("lon", "longitude", "decimallongitude", "lng")
LATITUDE = ("lat", "latitude", "decimallatitude")
PRESENT = ("present", "presence", "occurrencestatus", "heard", "detected", "observed")
"""Names of the columns, in small letters; the first is what messages call them."""

UNCERTAINTY = ("coordinateuncertaintyinmeters", "positional_accuracy", "public_positional_accuracy")
MOST_UNCERTAIN_M = 1000.0
"""Places that are known less well than this, metres, are not points on a map, by default."""
_OBSCURED = ("coordinates_obscured", "obscured")
_SPECIES = ("species", "scientificname", "scientific_name", "taxon_name")

_TRUE = frozenset({"1", "1.0", "true", "yes", "present"})
_FALSE = frozenset({"0", "0.0", "false", "no", "absent"})
_TEXT_FILES = frozenset({".csv", ".tsv", ".txt"})


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be used.

    Attributes:
        row: Its number in the table, the first after the heading being 1.
        reason: Why.
    """

    row: int
    reason: str


@dataclass(frozen=True, eq=False)
class PointTable:
    """Observations.

    Attributes:
        longitude: Degrees east, (n,).
        latitude: Degrees north, (n,).
        present: Whether it was found there, (n,); None: the table has no such column, and all
            are presences.
        bad: Rows that were left out.
        name: File name.
    """

    longitude: NDArray[np.float64]
    latitude: NDArray[np.float64]
    present: NDArray[np.bool_] | None
    bad: tuple[BadRow, ...]
    name: str

    def __len__(self) -> int:
        """Usable rows."""
        return len(self.longitude)


def read_points(path: Path, most_uncertain_m: float = MOST_UNCERTAIN_M) -> PointTable:
    """Read observations.

    CSV (commas, semicolons or tabs) with the columns lon and lat in degrees (or longitude and
    latitude, or decimalLongitude and decimalLatitude), and, if absences are known, present: 1 or 0
    (or heard, detected, observed; or occurrenceStatus: PRESENT or ABSENT). Rows whose place is
    uncertain by more than a limit (coordinateUncertaintyInMeters), or was obscured, are left out
    and counted; several species are refused. Or points in any file that GDAL reads, such as
    GeoPackage and GeoParquet.

    Args:
        path: The table.
        most_uncertain_m: The limit, metres. Rows that do not say how uncertain they are count.

    Raises:
        DataError: If it does not open, lacks a column, or no row of it is usable.
    """
    frame = _read_text(path) if path.suffix.lower() in _TEXT_FILES else _read_geometries(path)
    names = {str(column).strip().lower(): column for column in frame.columns}
    lon_name = next((names[n] for n in LONGITUDE if n in names), None)
    lat_name = next((names[n] for n in LATITUDE if n in names), None)
    missing = [a for a, b in (("lon", lon_name), ("lat", lat_name)) if b is None]
    if missing:
        raise DataError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {' and '.join(missing)}",
            expected="lon and lat in degrees",
            remedy=f"its columns are {', '.join(map(str, frame.columns)) or 'none'}",
        )
    import pandas as pd

    longitude = pd.to_numeric(frame[lon_name], errors="coerce").to_numpy(np.float64)
    latitude = pd.to_numeric(frame[lat_name], errors="coerce").to_numpy(np.float64)
    reasons = np.full(len(frame), "", dtype=object)
    reasons[~(np.isfinite(longitude) & np.isfinite(latitude))] = "lon and lat are not numbers"
    with np.errstate(invalid="ignore"):
        off = (np.abs(latitude) > 90) | (np.abs(longitude) > 360)
    reasons[off] = "lon and lat are not on Earth"
    _leave_out_vague(frame, names, reasons, most_uncertain_m)
    _check_one_species(frame, names, path)
    present_name = next((names[n] for n in PRESENT if n in names), None)
    present = None
    if present_name is not None:
        given = frame[present_name].astype(str).str.strip().str.lower()
        present = given.isin(_TRUE).to_numpy()
        unknown = ~(present | given.isin(_FALSE).to_numpy()) & (reasons == "")
        reasons[unknown] = f"{present_name} is neither 1 nor 0"
    usable = reasons == ""
    bad = tuple(BadRow(int(i) + 1, str(reasons[i])) for i in np.flatnonzero(~usable))
    if not usable.any():
        raise DataError(
            f"no usable row in {path}" + (f" (row {bad[0].row}: {bad[0].reason})" if bad else ""),
            expected="rows with lon and lat in degrees",
            remedy="if they are metres of a projection, give a GeoPackage with its CRS"
            if off.any()
            else "",
        )
    return PointTable(
        np.where(np.abs(longitude) > 180, (longitude + 180) % 360 - 180, longitude)[usable],
        latitude[usable],
        None if present is None else np.asarray(present[usable]),
        bad,
        path.name,
    )


def _leave_out_vague(
    frame: pd.DataFrame, names: dict[str, str], reasons: NDArray[np.object_], limit_m: float
) -> None:
    """Name what is wrong with rows whose place is known only roughly, or was moved on purpose."""
    import pandas as pd

    for name in (names[n] for n in UNCERTAINTY if n in names):
        metres = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64)
        with np.errstate(invalid="ignore"):
            vague = (metres > limit_m) & (reasons == "")
        reasons[vague] = f"{name} is above {limit_m:,.10g} m"
    for name in (names[n] for n in _OBSCURED if n in names):
        moved = frame[name].astype(str).str.strip().str.lower().isin(_TRUE).to_numpy()
        reasons[moved & (reasons == "")] = f"its place was made vague on purpose ({name})"


def _check_one_species(frame: pd.DataFrame, names: dict[str, str], path: Path) -> None:
    name = next((names[n] for n in _SPECIES if n in names), None)
    found = [] if name is None else sorted(frame[name].dropna().astype(str).str.strip().unique())
    if len(found) > 1:
        raise DataError(
            f"{path} holds {len(found)} species in the column {name}, such as {found[0]} and "
            f"{found[1]}",
            expected="observations of one, as a map is of one sound",
            remedy="keep the rows of one of them, each in a file of its own",
        )


def _read_text(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            heading = file.readline()
        separator = max(",;\t", key=heading.count)
        return pd.read_csv(path, sep=separator, encoding="utf-8-sig", dtype=str, quotechar='"')
    except FileNotFoundError:
        raise DataError(f"no file {path}", remedy="check the path") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path} does not open as a table ({reason})",
            expected="CSV with lon and lat in degrees",
        ) from None


def _read_geometries(path: Path) -> pd.DataFrame:
    import geopandas

    if not path.exists():
        raise DataError(f"no file {path}", remedy="check the path")
    try:
        parquet = path.suffix.lower() in (".parquet", ".geoparquet")
        frame = geopandas.read_parquet(path) if parquet else geopandas.read_file(path)
        if frame.crs is not None:
            frame = frame.to_crs("EPSG:4326")
        points = frame.geometry.where(frame.geometry.geom_type == "Point")
    except Exception as error:
        # GDAL, Arrow and PROJ each have errors of their own.
        raise DataError(
            f"{path} does not open as points ({type(error).__name__}: {error})",
            expected="CSV with lon and lat, GeoPackage, GeoJSON or GeoParquet",
        ) from None
    plain: pd.DataFrame = frame.drop(columns=frame.geometry.name)
    return plain.assign(lon=points.x, lat=points.y)
