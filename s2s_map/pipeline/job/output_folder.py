"""Embeddings in an output: their ledger, and whether they are those of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from s2s_map.embeddings.schema import damaged_metadata, read_store_mark
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputMismatchError
from s2s_map.outputs.ledger import Ledger, LedgerState
from s2s_map.outputs.ledger_lines import Blocks
from s2s_map.outputs.names import EMBEDDINGS
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.zarr_files import embeddings_exist


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


def check_store_id(folder: OutputPath) -> None:
    """Check that embeddings have the id that the last run over them noted in the ledger.

    With another the ledger seems to speak of other embeddings.

    Raises:
        DamagedMetadataError: If it is another.
    """
    start = open_ledger(folder, any_store=True).state().run
    there = read_store_mark(folder / EMBEDDINGS)[0]
    if start is not None and start.store and start.store != there:
        raise damaged_metadata(folder / EMBEDDINGS)


def open_embeddings(home: OutputPath, state: LedgerState | None = None) -> SealedEmbeddings:
    """Open embeddings to read them: blocks are compared with the ledger.

    Args:
        home: Where they lie, see `Output.finished_home`.
        state: What their ledger says, if it is known.

    Raises:
        StoreError: If there are none, or their metadata are damaged.
    """
    store = EmbeddingsStore.open(home / EMBEDDINGS)
    return SealedEmbeddings.seal(store, (state or open_ledger(home).state()).seals)


def check_folder(
    folder: OutputPath, identity: Mapping[str, Any], home: OutputPath | None = None
) -> None:
    """Check that a folder is empty, or holds the results of the same embeddings.

    Args:
        folder: The output.
        identity: What the embeddings are to be, see `Job.identity`.
        home: Where they lie; those of the finished results if None.

    Raises:
        OutputError: If it holds something that no run wrote.
        OutputMismatchError: If its embeddings are of another config; it lists the differences.
        StoreError: If its embeddings are damaged.
    """
    store = (open_output(folder).finished_home() if home is None else home) / EMBEDDINGS
    if not embeddings_exist(store):
        open_output(folder).check_foreign()
        return
    there = EmbeddingsStore.open(store).attributes.get("identity", {})
    changed = differences(there, identity)
    if changed:
        raise OutputMismatchError(
            f"{folder} holds embeddings of a different config: {', '.join(changed)}",
            remedy="name another output:, or start from scratch with --overwrite, which keeps "
            "what is there until the new maps are written",
        )


def differences(there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return what differs between two nested mappings, each as ``key: old -> new``."""
    found = []
    for key in dict.fromkeys([*there, *here]):
        old, new, name = there.get(key), here.get(key), f"{prefix}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{name}.")
        elif old != new:
            found.append(f"{name}: {_short(old)} -> {_short(new)}")
    return found


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
