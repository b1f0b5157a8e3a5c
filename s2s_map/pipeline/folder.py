"""The output, a folder or a prefix of an object store: whose, what lies in it, who may write."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s2s_map.embeddings.durable import make_durable
from s2s_map.embeddings.objects import ObjectPath, OutputPath
from s2s_map.embeddings.replacing import output_errors, remove_partials
from s2s_map.embeddings.schema import read_store_mark
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputError, OutputMismatchError
from s2s_map.pipeline.file_system import weaknesses
from s2s_map.pipeline.generations import LATEST, RESULTS
from s2s_map.pipeline.ledger import JournalLedger, Ledger, LedgerState
from s2s_map.pipeline.ledger_lines import Blocks
from s2s_map.pipeline.lock import FolderLock
from s2s_map.pipeline.object_ledger import BLOCKS, LEDGER_FOLDER, ObjectLedger
from s2s_map.pipeline.object_lock import LOCK, ObjectLock, store_weaknesses

EMBEDDINGS = "embeddings.zarr"
LEDGER = "ledger.jsonl"
MAPS = "maps.zarr"
IMAGERY = "imagery.tif"
PREVIEW = "preview.png"
ITEM = "item.json"
RECORD = "run.json"
SEARCH = "search.json"
EXPLANATIONS = "explanations"

# In the order of removal: first what says that something is finished, last whose the folder is.
_OURS = (LEDGER, RECORD, MAPS, IMAGERY, PREVIEW, ITEM, SEARCH, EXPLANATIONS, EMBEDDINGS)
# First what readers follow, last what says whose the prefix is.
_OUR_OBJECTS = (LATEST, RESULTS, BLOCKS, LEDGER_FOLDER, SEARCH, EXPLANATIONS, EMBEDDINGS)


def check_access(folder: OutputPath, *, write: bool = False) -> None:
    """Find out at once whether an object store can be used; local folders show it when used.

    Args:
        folder: The output.
        write: Whether it is to be written to as well.

    Raises:
        OutputError: If it cannot, with the reason.
    """
    if isinstance(folder, ObjectPath):
        folder.check()
        if write:
            store_weaknesses(folder)


def open_ledger(
    folder: OutputPath, guard: Callable[[], None] | None = None, *, any_store: bool = False
) -> Ledger:
    """Return the ledger of an output, which hears nothing that was said of another store.

    Args:
        folder: The output.
        guard: Called before every entry; raises if this process may write no longer.
        any_store: Believe what was said of whichever store.
    """
    store, size = (None, None) if any_store else read_store_mark(folder / EMBEDDINGS)
    blocks = None if size is None else Blocks(*size)
    if isinstance(folder, ObjectPath):
        return ObjectLedger(folder, guard, store, blocks)
    return JournalLedger(folder / LEDGER, guard, store, blocks)


def open_embeddings(folder: OutputPath, state: LedgerState | None = None) -> SealedEmbeddings:
    """Open the embeddings of an output for who reads them: blocks are compared with the ledger.

    Args:
        folder: The output.
        state: What its ledger says, if it is known.

    Raises:
        StoreError: If there are none, or their metadata are damaged.
    """
    store = EmbeddingsStore.open(folder / EMBEDDINGS)
    return SealedEmbeddings.seal(store, (state or open_ledger(folder).state()).seals)


@contextmanager
def locked(
    folder: OutputPath, note: Callable[[str], None] | None = None
) -> Iterator[FolderLock | ObjectLock]:
    """Hold an output for oneself, made if missing; see `FolderLock` and `ObjectLock`.

    Args:
        folder: The output.
        note: Told what is worth a line, such as a file system without locks.

    Raises:
        OutputError: If another run holds it, or the folder cannot be written.
    """
    if isinstance(folder, ObjectPath):
        lease = ObjectLock(folder, note)
        lease.acquire()
        try:
            for weakness in store_weaknesses(folder):
                if note is not None:
                    note(weakness)
            yield lease
        finally:
            lease.release()
        return
    with output_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is a file", expected="a folder", remedy="name another one")
        folder.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder, note)
        lock.acquire()
    try:
        with output_errors(folder):
            for weakness in weaknesses(folder):
                if note is not None:
                    note(weakness)
        remove_partials(folder)
        yield lock
    finally:
        lock.release()


def check_folder(folder: OutputPath, identity: Mapping[str, Any]) -> None:
    """Check that a folder is empty, or holds the results of the same embeddings.

    Raises:
        OutputError: If it holds something that no run wrote.
        OutputMismatchError: If its embeddings are of another config; it lists the differences.
        StoreError: If its embeddings are damaged.
    """
    if not EmbeddingsStore.exists(folder / EMBEDDINGS):
        _refuse_foreign(folder)
        return
    there = EmbeddingsStore.open(folder / EMBEDDINGS).attributes.get("identity", {})
    changed = differences(there, identity)
    if changed:
        raise OutputMismatchError(
            f"{folder} holds embeddings of a different config: {', '.join(changed)}",
            remedy="name another output:, or start anew with --overwrite",
        )


def clear_folder(folder: OutputPath) -> None:
    """Remove what a run wrote into an output, and nothing else.

    The ledger goes first, durably: what is left if this is cut short must not be called finished.

    Raises:
        OutputError: If it holds something that no run wrote, or cannot be emptied.
    """
    if isinstance(folder, ObjectPath):
        if not EmbeddingsStore.exists(folder / EMBEDDINGS):
            _refuse_foreign(folder)
        for name in _OUR_OBJECTS:
            (folder / name).unlink(missing_ok=True)
            (folder / name).remove_tree()
        return
    if not folder.exists():
        return
    if not (folder / EMBEDDINGS).exists():
        _refuse_foreign(folder)
    with output_errors(folder):
        for name in (LEDGER, RECORD):
            (folder / name).unlink(missing_ok=True)
        make_durable(folder / LEDGER, folder)
        for style in folder.glob("*.qml"):
            style.with_suffix(".tif").unlink(missing_ok=True)
            style.unlink()
        for name in _OURS:
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


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


def _refuse_foreign(folder: OutputPath) -> None:
    if isinstance(folder, Path) and not folder.exists():
        return
    ours = _OURS if isinstance(folder, Path) else (*_OUR_OBJECTS, LOCK)
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    foreign = sorted(there - set(ours))
    if foreign:
        raise OutputError(
            f"{folder} holds other files, such as {foreign[0]}",
            expected="an empty folder or one that a run made",
            remedy="name another output:",
        )
