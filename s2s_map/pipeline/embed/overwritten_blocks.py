"""Blocks of an object store whose data is no longer what was recorded.

A run that was paused until it lost its prefix may still put the data of a block, and no condition
keeps such a put from replacing what the next run has put there. Each marker therefore holds the
e_tag of its data, and listings, a request per 1,000 blocks, say whether it still stands. Data of
the same bytes has the same e_tag on most servers, and does not matter anyway.
"""

from __future__ import annotations

from collections.abc import Mapping

from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputUnavailableError
from s2s_map.outputs.ledger import BlockRecord, Ledger
from s2s_map.reporter import Reporter


def replaced_blocks(store: EmbeddingsStore, records: Mapping[str, BlockRecord]) -> list[str]:
    """Return the finished blocks whose data somebody else has put, or removed, since.

    Args:
        store: The embeddings; on a disk nobody can, and nothing is looked up.
        records: The finished blocks; those recorded without one, by older versions, are
            believed.
    """
    there = store.e_tags() if records else None
    if there is None:
        return []
    return sorted(
        key
        for key, record in records.items()
        if there.get(key, "") != record.data_tag and (record.data_tag or not record.valid_cells)
    )


def drop_replaced(store: EmbeddingsStore, ledger: Ledger, watch: Reporter) -> None:
    """Forget blocks whose data is no longer what was recorded, so that they are embedded again."""
    replaced = replaced_blocks(store, ledger.state().records)
    if replaced:
        watch.note(
            f"{len(replaced):,} blocks, such as {replaced[0]}, hold data that another run put late "
            "and are embedded again"
        )
        ledger.drop(replaced)


def check_not_replaced(store: EmbeddingsStore, records: Mapping[str, BlockRecord]) -> None:
    """Check that the data of finished blocks is what was recorded.

    Raises:
        OutputUnavailableError: If it is not; the same run repairs it.
    """
    replaced = replaced_blocks(store, records)
    if replaced:
        raise OutputUnavailableError(
            f"{len(replaced):,} blocks of {store.path}, such as {replaced[0]}, hold data that "
            "another run put late",
            remedy="start the same run again, which embeds them again",
        )
