"""Whether two runs of the same embeddings agree: to the byte, or within the stated tolerance.

The same batch size, number of threads and processor or GPU give the same bytes. Where these differ,
as after a batch was halved because memory ran out, or between a CPU and a GPU, sums are taken in
another order and rounded otherwise. A cell is then a vector b instead of a, and no similarity to
any unit query changes by more than |a - b| (Cauchy and Schwarz): so that is what is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import StoreError
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import ObjectPath, output_path
from s2s_map.pipeline.job.output_folder import differences, open_embeddings, open_ledger
from s2s_map.reporter import Reporter

TOLERANCE = {"fp32": 0.005, "bf16": 0.05}
"""How far the embeddings of a cell may be apart, |a - b|, and so any similarity, by what the model
multiplies in. Rounding to float16, as they are stored, makes up to 0.0005 of it."""


@dataclass
class Agreement:
    """How two runs agree.

    Attributes:
        tolerance: How far the embeddings of a cell may be apart.
        same: Blocks that are the same to the byte.
        close: Blocks that are not, but within the tolerance.
        apart: Blocks that are not, each with the reason.
        only_here: Blocks that only the first run has finished.
        only_there: Blocks that only the second run has finished.
        largest: The largest |a - b| of a cell.
        least_cosine: The smallest cosine between the embeddings of a cell.
    """

    tolerance: float
    same: int = 0
    close: int = 0
    apart: dict[str, str] = field(default_factory=dict)
    only_here: list[str] = field(default_factory=list)
    only_there: list[str] = field(default_factory=list)
    largest: float = 0.0
    least_cosine: float = 1.0

    @property
    def whole(self) -> bool:
        """Whether all blocks of both agree."""
        return not (self.apart or self.only_here or self.only_there)


def compare(
    here: str | Path | ObjectPath, there: str | Path | ObjectPath, reporter: Reporter | None = None
) -> Agreement:
    """Compare the embeddings of two outputs of the same config, block by block.

    Args:
        here: An output, a folder or ``s3://bucket/prefix``.
        there: Another one.
        reporter: Receives the progress.

    Raises:
        StoreError: If one of them is not an output, or they are of different configs.
        DamagedBlocksError: For a block that is not what its output has recorded.
    """
    watch, stores, records = reporter or Reporter(), [], []
    for out in map(output_path, (here, there)):
        open_output(out).check_access()
        home = open_output(out).finished_home()
        state = open_ledger(home).state()
        stores.append(open_embeddings(home, state))
        records.append(state.records)
    identities = [store.attributes.get("identity", {}) for store in stores]
    changed = differences(*identities)
    if changed:
        raise StoreError(
            f"{here} and {there} hold embeddings of different configs: {', '.join(changed)}",
            expected="two runs of the same config",
        )
    precision = identities[0].get("model", {}).get("precision", "fp32")
    found = Agreement(TOLERANCE[precision])
    found.only_here = sorted(records[0].keys() - records[1].keys())
    found.only_there = sorted(records[1].keys() - records[0].keys())
    both = [b for b in stores[0].grid.iter_blocks() if all(b.key in some for some in records)]
    watch.start("Comparing", len(both), "blocks")
    for block in both:
        watch.advance(1)
        for store in stores:
            store.check(block.y, block.x)
        if records[0][block.key].checksum == records[1][block.key].checksum:
            found.same += 1
            continue
        reason = _apart(stores[0].read_block(block), stores[1].read_block(block), found)
        if reason:
            found.apart[block.key] = reason
        else:
            found.close += 1
    watch.finish()
    return found


def _apart(a: NDArray[np.float32], b: NDArray[np.float32], found: Agreement) -> str:
    """Say how two blocks are further apart than they may be, "" if they are not."""
    seen = np.isfinite(a[..., 0])
    other = np.isfinite(b[..., 0])
    if not np.array_equal(seen, other):
        return f"{int((seen != other).sum()):,} cells hold data in one of them only"
    if not seen.any():
        return ""
    a, b = a[seen], b[seen]
    distance = float(np.linalg.norm(a - b, axis=1).max())
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = float(((a * b).sum(axis=1) / np.maximum(lengths, 1e-12)).min())
    found.largest = max(found.largest, distance)
    found.least_cosine = min(found.least_cosine, cosine)
    if distance > found.tolerance:
        return f"embeddings of a cell are {distance:.4g} apart"
    return ""
