"""Your own recordings: a table of place, time, file and caption."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s2s_map.datasets.place_table import LATITUDE, LONGITUDE, PlaceTable, read_places
from s2s_map.errors import DataError

AUDIO = ("audio", "audio_path", "path", "file")
OPTIONAL = {
    "time": ("time", "date", "datetime", "recorded", "eventdate"),
    "caption": ("caption", "description", "text"),
    "key": ("id", "sample_id", "key", "gbifid"),
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
    """Read a table of recordings.

    A table of places (`read_places`) with a column `audio` (relative to the table), and if wanted
    `time`, `caption`, `id` and `source`.

    Raises:
        DataError: If it cannot be read, lacks columns, or has places that are not on Earth or ids
            that are not unique.
    """
    table = read_places(
        path, {"audio": AUDIO}, "lon, lat, audio, and if wanted time, caption, id, source"
    )
    _check_places(table)
    fields = {"audio": AUDIO} | OPTIONAL
    columns = {field: table.column(names) for field, names in fields.items()}
    values = {
        field: [""] * len(table.frame) if name is None else [_text(v) for v in table.frame[name]]
        for field, name in columns.items()
    }
    nameless = next((i for i, audio in enumerate(values["audio"]) if not audio), None)
    if nameless is not None:
        raise DataError(f"{path}, row {nameless + 1}: no audio file is named")
    rows = [
        TableRow(
            key=values["key"][i] or f"{path.stem}-{i}",
            longitude=float(table.longitude[i]),
            latitude=float(table.latitude[i]),
            audio=path.parent / values["audio"][i],
            time=values["time"][i],
            caption=values["caption"][i],
            source=values["source"][i],
        )
        for i in range(len(table.frame))
    ]
    keys = [row.key for row in rows]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DataError(f"{path} has the id {twice!r} twice", expected="unique ids")
    if not rows:
        raise DataError(f"{path} has no rows")
    return rows


def _check_places(table: PlaceTable) -> None:
    for row in np.flatnonzero(table.faults != ""):
        longitude, latitude = (
            table.frame[table.column(names)].iloc[row] for names in (LONGITUDE, LATITUDE)
        )
        raise DataError(
            f"{table.path}, row {row + 1}: lon {longitude}, lat {latitude}",
            expected="degrees east and north",
        )


def _text(value: object) -> str:
    text = str(value).strip()
    # What pandas makes of an empty field.
    return "" if text.lower() in ("nan", "nat", "none", "<na>") else text
