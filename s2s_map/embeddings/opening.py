"""Embeddings and their ledger, opened together."""

from __future__ import annotations

from collections.abc import Callable

from s2s_map.embeddings.schema import read_store_mark
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.outputs.ledger import Ledger, LedgerState
from s2s_map.outputs.ledger_lines import Blocks
from s2s_map.outputs.names import EMBEDDINGS
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath


def open_ledger(
    home: OutputPath, guard: Callable[[], None] | None = None, *, any_store: bool = False
) -> Ledger:
    """Return the ledger of embeddings, which hears nothing that was said of another store.

    Args:
        home: Where the embeddings lie, see `Output.finished_home`.
        guard: Called before every entry; raises if this process may write no longer.
        any_store: Believe what was said of whichever store.
    """
    store, size = (None, None) if any_store else read_store_mark(home / EMBEDDINGS)
    blocks = None if size is None else Blocks(*size)
    return open_output(home).ledger(guard, store, blocks)


def open_embeddings(home: OutputPath, state: LedgerState | None = None) -> SealedEmbeddings:
    """Open embeddings for who reads them: blocks are compared with the ledger.

    Args:
        home: Where they lie, see `Output.finished_home`.
        state: What their ledger says, if it is known.

    Raises:
        StoreError: If there are none, or their metadata are damaged.
    """
    store = EmbeddingsStore.open(home / EMBEDDINGS)
    return SealedEmbeddings.seal(store, (state or open_ledger(home).state()).seals)
