"""Tables of geotagged observations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2s_map.datasets.place_table import PlaceTable, read_places
from s2s_map.errors import DataError

PRESENT = ("present", "presence", "occurrencestatus", "heard", "detected", "observed")
"""Names of the columns, in small letters; the first is what messages call them."""

UNCERTAINTY = ("coordinateuncertaintyinmeters", "positional_accuracy", "public_positional_accuracy")
MOST_UNCERTAIN_M = 1000.0
"""Places that are known less well than this, metres, are not points on a map, by default."""
_OBSCURED = ("coordinates_obscured", "obscured")
_SPECIES = ("species", "scientificname", "scientific_name", "taxon_name")

_TRUE = frozenset({"1", "1.0", "true", "yes", "present"})
_FALSE = frozenset({"0", "0.0", "false", "no", "absent"})


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

    A table of places (`read_places`), and, if absences are known, a column present: 1 or 0 (or
    heard, detected, observed; or occurrenceStatus: PRESENT or ABSENT). Rows whose place is
    uncertain by more than a limit (coordinateUncertaintyInMeters), or was obscured, are left out
    and counted; several species are refused.

    Args:
        path: The table.
        most_uncertain_m: The limit, metres. Rows that do not say how uncertain they are count.

    Raises:
        DataError: If it does not open, lacks a column, or no row of it is usable.
    """
    table = read_places(path)
    frame, reasons = table.frame, table.faults
    _leave_out_vague(table, reasons, most_uncertain_m)
    _check_one_species(table)
    present_name = table.column(PRESENT)
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
            if table.maybe_metres
            else "",
        )
    return PointTable(
        table.longitude[usable],
        table.latitude[usable],
        None if present is None else np.asarray(present[usable]),
        bad,
        path.name,
    )


def _leave_out_vague(table: PlaceTable, reasons: NDArray[np.object_], limit_m: float) -> None:
    """Name what is wrong with rows whose place is known only roughly, or was moved on purpose."""
    import pandas as pd

    for name in filter(None, (table.column([name]) for name in UNCERTAINTY)):
        metres = pd.to_numeric(table.frame[name], errors="coerce").to_numpy(np.float64)
        with np.errstate(invalid="ignore"):
            vague = (metres > limit_m) & (reasons == "")
        reasons[vague] = f"{name} is above {limit_m:,.10g} m"
    for name in filter(None, (table.column([name]) for name in _OBSCURED)):
        moved = table.frame[name].astype(str).str.strip().str.lower().isin(_TRUE).to_numpy()
        reasons[moved & (reasons == "")] = f"its place was made vague on purpose ({name})"


def _check_one_species(table: PlaceTable) -> None:
    name = table.column(_SPECIES)
    if name is None:
        return
    species = sorted(set(table.frame[name].dropna().astype(str).str.strip()) - {""})
    if len(species) > 1:
        raise DataError(
            f"{table.path} holds {len(species)} species in the column {name}, such as "
            f"{species[0]} and {species[1]}",
            expected="observations of one, as a map is of one sound",
            remedy="keep the rows of one of them, each in a file of its own",
        )
