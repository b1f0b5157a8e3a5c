"""The ledger of finished blocks beside a store: one file per block, written after its data."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from s2s_map.arrays import Hole
from s2s_map.embeddings.replacing import replacing_file
from s2s_map.errors import StoreError
from s2s_map.tiling.blocks import Block


@dataclass(frozen=True)
class BlockRecord:
    """What is known of a finished block.

    Attributes:
        block: Key of the block.
        checksum: SHA-256 of its embeddings as stored.
        patches: Patches encoded for it.
        valid_cells: Cells that hold data.
        seconds: Time spent on it.
        batch_size: Patches per pass in the end.
        holes: Imagery that could not be read for it.
    """

    block: str
    checksum: str
    patches: int
    valid_cells: int
    seconds: float
    batch_size: int
    holes: tuple[Hole, ...] = ()


class Ledger:
    """The finished blocks of one store.

    Args:
        folder: Where the ledger is kept; made when the first block is recorded.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def record(self, record: BlockRecord) -> None:
        """Record a block whose data is durably written.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        target = self.folder / f"{record.block}.json"
        with replacing_file(target) as partial, partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(record), file)
            file.flush()
            os.fsync(file.fileno())

    def records(self) -> dict[str, BlockRecord]:
        """Return the finished blocks by key.

        Raises:
            StoreError: For a record that cannot be read.
        """
        found = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                fields = json.loads(path.read_text(encoding="utf-8"))
                fields["holes"] = tuple(Hole(**hole) for hole in fields.get("holes", ()))
                record = BlockRecord(**fields)
            except (ValueError, TypeError) as error:
                raise StoreError(
                    f"the block record {path} cannot be read: {error}",
                    remedy="delete that file; the block is then embedded again",
                ) from error
            found[record.block] = record
        return found

    def content(self) -> dict[str, str]:
        """Return the checksums of the finished blocks: what the embeddings are."""
        return {key: record.checksum for key, record in self.records().items()}


def missing_blocks(blocks: list[Block], records: Mapping[str, BlockRecord]) -> list[Block]:
    """Return the blocks that are not finished, in order."""
    return [block for block in blocks if block.key not in records]
