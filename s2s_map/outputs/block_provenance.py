"""What the blocks of a run were made with: the same bytes come out of the same making."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from s2s_map.outputs.ledger import BlockRecord


@dataclass(frozen=True)
class Making:
    """What decides the last bits of a block, beside imagery and model.

    Attributes:
        device: Kind of device, "cpu" or "cuda".
        hardware: Such as "AVX512, AMD EPYC 9354" or the name of a GPU; "" if not known.
        threads: Processor threads of the encoder.
        batch_size: Patches per pass.
        blocks: How many blocks were made so.
    """

    device: str
    hardware: str
    threads: int
    batch_size: int
    blocks: int

    def __str__(self) -> str:
        on = f"{self.device} ({self.hardware})" if self.hardware else self.device
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"{self.blocks:,} on {on} with {threads} in batches of {self.batch_size}"


def makings_of(records: Iterable[BlockRecord]) -> tuple[Making, ...]:
    """Return what finished blocks were made with, the most frequent first.

    Blocks without a patch to encode were made with nothing.
    """
    counts = Counter(
        (record.device, record.hardware, record.threads, record.batch_size)
        for record in records
        if record.patches
    )
    return tuple(Making(*key, count) for key, count in counts.most_common())
