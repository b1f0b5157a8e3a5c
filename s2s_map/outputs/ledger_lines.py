"""Lines of a ledger, checked against a schema before any is believed.

A line that says what no run writes, such as a text where a number belongs or a block that the grid
does not have, counts as torn: as if it had not been written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

MOST_BYTES = 16 << 20
"""Of a line: a block with half a million pieces of missing imagery."""

_MOST = 1 << 53

Count = Annotated[int, Field(strict=True, ge=0, le=_MOST)]
Whole = Annotated[int, Field(strict=True, ge=-_MOST, le=_MOST)]
Seconds = Annotated[float, Field(strict=True, ge=0.0, le=1e12)]
Text = Annotated[str, Field(strict=True)]
Yes = Annotated[bool, Field(strict=True)]
Key = Annotated[str, Field(strict=True, pattern=r"^r[0-9]{3,9}-c[0-9]{3,9}$")]


@dataclass(frozen=True)
class Blocks:
    """The blocks that a store has.

    Attributes:
        rows: Rows of blocks.
        cols: Columns of blocks.
        cells: The most cells of a block.
    """

    rows: int
    cols: int
    cells: int

    def has(self, key: str) -> bool:
        """Return whether there is a block of this key."""
        row, col = (int(part[1:]) for part in key.split("-"))
        return row < self.rows and col < self.cols and key == f"r{row:03d}-c{col:03d}"


class _Line(BaseModel):
    # Fields of later versions are not a fault.
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    at: Seconds = 0.0
    store: Text | None = None


class _Hole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Text
    uri: Text
    count: Count = 1
    pieces: tuple[tuple[Whole, Whole, Whole, Whole], ...] = ()


class _Done(_Line):
    event: Literal["done"]
    block: Key
    checksum: Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{2,64}$")]
    patches: Count
    valid_cells: Count
    seconds: Seconds
    batch_size: Count
    device: Text = "cpu"
    threads: Count = 1
    read_s: Seconds = 0.0
    encode_s: Seconds = 0.0
    write_s: Seconds = 0.0
    worker: Text = ""
    holes: tuple[_Hole, ...] = ()
    hardware: Text = ""
    data_tag: Text = ""
    file_crc: Annotated[str, Field(strict=True, pattern=r"^([0-9a-f]{8})?$")] = ""


class _Failed(_Line):
    event: Literal["failed"]
    block: Key
    reason: Text
    final: Yes = True


class _Start(_Line):
    event: Literal["start"]
    blocks: Count
    patches: Count
    todo: Count
    cluster: Text
    anew: Yes = False
    identity: Annotated[str, Field(strict=True, pattern=r"^([0-9a-f]{64})?$")] = ""

    @model_validator(mode="after")
    def _a_part_is_less_than_the_whole(self) -> _Start:
        if self.todo > self.patches:
            raise ValueError("more patches to do than there are")
        return self


class _End(_Line):
    event: Literal["end"]
    how: Literal["complete", "incomplete", "stopped", "failed", "embedded"]


_EVENT: TypeAdapter[_Done | _Failed | _Start | _End] = TypeAdapter(
    Annotated[_Done | _Failed | _Start | _End, Field(discriminator="event")]
)


def bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file; those that are too long are left out, and never held."""
    while raw := file.readline(MOST_BYTES):
        if raw.endswith(b"\n") or len(raw) < MOST_BYTES:
            yield raw
            continue
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(MOST_BYTES)


def parsed(raw: str | bytes) -> Any:
    """Return JSON whose keys differ and whose numbers are finite.

    Raises:
        ValueError: For anything else, however deep, long or strange.
    """
    if len(raw) > MOST_BYTES:
        raise ValueError("too long for a line")
    try:
        return json.loads(raw, object_pairs_hook=_distinct, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def sound_line(line: object, blocks: Blocks | None = None) -> dict[str, Any] | None:
    """Return a line that says what a run may have written, None for any other.

    Args:
        line: What was read.
        blocks: The blocks there are, where that is known.
    """
    if not isinstance(line, dict):
        return None
    try:
        event = _EVENT.validate_python(line)
    except (ValidationError, RecursionError):
        return None
    if blocks is not None:
        if isinstance(event, _Done | _Failed) and not blocks.has(event.block):
            return None
        if isinstance(event, _Done) and event.valid_cells > blocks.cells:
            return None
        if isinstance(event, _Start) and event.blocks > blocks.rows * blocks.cols:
            return None
    return line


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")
