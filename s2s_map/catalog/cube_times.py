"""The times of a cube of imagery, and which of them an entry asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from s2s_map.config.cube import LATEST
from s2s_map.config.times import in_utc, parse_time
from s2s_map.errors import ImageryError
from s2s_map.redaction import redacted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    import zarr


def chosen_times(
    dataset: xr.Dataset, dim: str | None, uri: str, time: str | None
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the times an entry asks for, ISO 8601, and their places along the dimension.

    Raises:
        ImageryError: For times that are not chosen, not there, or cannot be read.
    """
    if dim is None:
        if time == LATEST:
            raise ImageryError(f"{redacted(uri)} has no times", remedy="leave time: latest out")
        return (), ()
    index = time_index(dataset, dim, uri)
    span = f"{len(index)} times from {time_text(index.min())} to {time_text(index.max())}"
    if time is None:
        if len(index) > 1:
            raise ImageryError(
                f"{redacted(uri)} has {span}",
                expected="a choice",
                remedy="add time: a date, an interval start/end for its median, or latest",
            )
        steps = [0]
    elif time == LATEST:
        steps = [int(index.argmax())]
    else:
        start, end = (in_utc(instant).replace(tzinfo=None) for instant in parse_time(time))
        steps = [i for i, t in enumerate(index) if start <= t.to_pydatetime(warn=False) <= end]
        if not steps:
            raise ImageryError(
                f"{redacted(uri)} has nothing of {time}", expected=span, remedy="correct time:"
            )
    return tuple(time_text(index[step]) for step in steps), tuple(steps)


def sensed(root: zarr.Group) -> tuple[str, ...]:
    """Return when an EOPF product was taken, as its STAC properties say."""
    discovery = dict(root.attrs).get("stac_discovery")
    properties = discovery.get("properties") if isinstance(discovery, dict) else None
    try:
        taken = datetime.fromisoformat(str((properties or {})["datetime"]))
    except (KeyError, ValueError):
        return ()
    return (taken.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds"),)


def time_index(dataset: xr.Dataset, dim: str, uri: str) -> pd.DatetimeIndex:
    """Return the times along a dimension."""
    import pandas as pd

    index = dataset.indexes.get(dim)
    if not isinstance(index, pd.DatetimeIndex) or not len(index):
        raise ImageryError(
            f"{dim} of {redacted(uri)} is not a time that can be read",
            expected="CF times of the standard calendar",
        )
    return index


def time_text(time: pd.Timestamp) -> str:
    """Return a time as ISO 8601."""
    return str(time.isoformat())
