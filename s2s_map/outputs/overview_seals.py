"""What is recorded of the shards of overviews, for those who read them later to compare.

Shards that are written with a block are recorded with it, in the ledger. Those above, a few in all,
are recorded in a file beside them, each with what it was made from: when that is another now, the
shard is made again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from s2s_map.outputs.atomic import remove_partials, replacing_file
from s2s_map.outputs.path import OutputPath

SEALS = "seals.json"
"""Name of the file, in the group of the overviews."""

_Factor = Annotated[int, Field(strict=True, ge=2, le=1 << 30)]
_Cells = Annotated[int, Field(strict=True, ge=0, le=1 << 53)]
_Sha256 = Annotated[str, Field(strict=True, pattern=r"^([0-9a-f]{64})?$")]
_Crc = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{8}$")]
_Tag = Annotated[str, Field(strict=True, max_length=1024)]


@dataclass(frozen=True, slots=True)
class OverviewSeal:
    """What was recorded of a shard of a level when it was written.

    Attributes:
        factor: Finest cells per side of a cell of its level.
        checksum: SHA-256 of its vectors, then of its counts, as stored; "" without data.
        cells: Cells that hold data.
        crcs: CRC-32 of the files of its vectors and counts; none in an object store.
        tags: e_tags of their objects; none on a disk.
        of: `made_of` what lies below; "" for a shard that was written with its block.
    """

    factor: _Factor
    checksum: _Sha256
    cells: _Cells
    crcs: tuple[_Crc, ...] = ()
    tags: tuple[_Tag, ...] = ()
    of: _Sha256 = ""


type ShardSeals = Mapping[str, OverviewSeal]
"""Seals of the shards of one level, by key."""


_LISTED = TypeAdapter(dict[str, dict[str, OverviewSeal]])


def made_of(below: Mapping[str, str]) -> str:
    """Return the SHA-256 that stands for what a shard is made from.

    Args:
        below: Checksums of the shards that it covers of the level below, by key.
    """
    return hashlib.sha256(json.dumps(sorted(below.items())).encode()).hexdigest()


def seal_dict(seal: OverviewSeal) -> dict[str, Any]:
    """Return a seal as JSON: what of it says more than its defaults."""
    default = {name.name: name.default for name in fields(OverviewSeal)}
    return {key: value for key, value in asdict(seal).items() if default[key] != value}


def read_seals(group: OutputPath) -> dict[int, dict[str, OverviewSeal]]:
    """Return the recorded shards by factor and key; nothing of a file that no run wrote so.

    Args:
        group: Where the overviews lie.

    Raises:
        OutputError: If an object store cannot be read.
    """
    try:
        found = _LISTED.validate_json((group / SEALS).read_bytes())
        return {
            int(factor): {key: seal for key, seal in seals.items() if seal.factor == int(factor)}
            for factor, seals in found.items()
        }
    except (OSError, ValidationError, ValueError, RecursionError):
        return {}


def write_seals(group: OutputPath, seals: Mapping[int, ShardSeals]) -> None:
    """Replace the recorded shards; only for the process that holds the output.

    Raises:
        OutputError: For a full disk, a read-only folder and the like.
    """
    content = {
        str(factor): {key: seal_dict(seals[factor][key]) for key in sorted(seals[factor])}
        for factor in sorted(seals)
    }
    if isinstance(group, Path):
        remove_partials(group)
    with replacing_file(group / SEALS) as partial:
        partial.write_text(f"{json.dumps(content, indent=1)}\n", encoding="ascii")


def checksums(seals: ShardSeals, keys: Iterable[str]) -> dict[str, str]:
    """Return the checksums of those of some shards that hold data."""
    return {key: seals[key].checksum for key in keys if key in seals and seals[key].cells}
