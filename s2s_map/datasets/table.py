"""Your own recordings: a table of place, time, file and caption."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s2s_map.errors import DataError

COLUMNS = {
    "longitude": ("lon", "longitude", "x"),
    "latitude": ("lat", "latitude", "y"),
    "audio": ("audio", "audio_path", "path", "file"),
}
OPTIONAL = {
    "time": ("time", "date", "datetime", "recorded"),
    "caption": ("caption", "description", "text"),
    "key": ("id", "sample_id", "key"),
    "source": ("source", "platform"),
}


@dataclass(frozen=True)
class TableRow:
    """One recording.

    Attributes:
        key: Its name; unique in the table.
        longitude: Degrees east.
        latitude: Degrees north.
        audio: The file.
        time: As written.
        caption: What is heard.
        source: Platform it comes from.
    """

    key: str
    longitude: float
    latitude: float
    audio: Path
    time: str = ""
    caption: str = ""
    source: str = ""


def read_table(path: Path) -> list[TableRow]:
    """Read a table of recordings: CSV, GeoParquet, GeoPackage or GeoJSON.

    Columns are `lon`, `lat` (or a geometry of points), `audio` (relative to the table), and if
    wanted `time`, `caption`, `id` and `source`.

    Raises:
        DataError: If it cannot be read, lacks columns, or has places that are not on Earth or ids
            that are not unique.
    """
    if not path.is_file():
        raise DataError(f"no table at {path}", remedy="check the path")
    frame = _frame(path)
    names = {str(name).strip().lower(): name for name in frame.columns}
    columns = {
        field: next((names[alias] for alias in aliases if alias in names), None)
        for field, aliases in (COLUMNS | OPTIONAL).items()
    }
    missing = [COLUMNS[field][0] for field in COLUMNS if columns[field] is None]
    if missing:
        raise DataError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}",
            expected="lon, lat, audio, and if wanted time, caption, id, source",
        )
    values = {
        field: list(frame[name]) if name is not None else [""] * len(frame)
        for field, name in columns.items()
    }
    rows = [
        _row(path, number, {field: column[number] for field, column in values.items()})
        for number in range(len(frame))
    ]
    keys = [row.key for row in rows]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"{path} has the id {twice!r} twice", expected="unique ids")
    if not rows:
        raise DataError(f"{path} has no rows")
    return rows


def _frame(path: Path) -> Any:
    import pandas as pd

    try:
        if path.suffix.lower() == ".csv":
            return pd.read_csv(path, dtype=str, keep_default_na=False)
        import geopandas

        if path.suffix.lower() in (".parquet", ".geoparquet"):
            frame = geopandas.read_parquet(path)
        else:
            frame = geopandas.read_file(path)
        points = frame.geometry.to_crs("EPSG:4326").representative_point()
        return frame.assign(lon=points.x, lat=points.y)
    except Exception as error:  # readers raise what their drivers do
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path} cannot be read as a table ({reason[:120]})",
            expected="CSV, GeoParquet, GeoPackage or GeoJSON",
        ) from None


def _row(path: Path, number: int, values: dict[str, Any]) -> TableRow:
    where = f"{path}, row {number + 1}"
    try:
        longitude, latitude = float(values["longitude"]), float(values["latitude"])
    except (TypeError, ValueError):
        longitude = latitude = np.nan
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise DataError(
            f"{where}: lon {values['longitude']}, lat {values['latitude']}",
            expected="degrees east and north",
        )
    audio = _text(values["audio"])
    if not audio:
        raise DataError(f"{where}: no audio file is named")
    return TableRow(
        key=_text(values["key"]) or f"{path.stem}-{number}",
        longitude=longitude,
        latitude=latitude,
        audio=path.parent / audio,
        time=_text(values["time"]),
        caption=_text(values["caption"]),
        source=_text(values["source"]),
    )


def _text(value: object) -> str:
    text = str(value).strip()
    # What pandas makes of an empty field.
    return "" if text.lower() in ("nan", "nat", "none", "<na>") else text
