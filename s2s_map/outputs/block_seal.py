"""What is recorded of a block of embeddings, for those who read it later to compare."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockSeal:
    """What was recorded of a block when it was written.

    Attributes:
        checksum: SHA-256 of its values, see `EmbeddingsStore.checksum`.
        valid_cells: Cells that hold data.
        file_crc: CRC-32C of its file, as older versions recorded it; "" if not known.
        data_tag: e_tag of its object, "" if not known.
        file_crc32: CRC-32 of its file, "" if not known.
    """

    checksum: str
    valid_cells: int
    file_crc: str = ""
    data_tag: str = ""
    file_crc32: str = ""
