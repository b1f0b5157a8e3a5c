"""The output, a folder or a prefix of an object store: whose, what lies in it, who may write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s2s_map.embeddings.schema import damaged_metadata, read_store_mark
from s2s_map.embeddings.sealed import SealedEmbeddings
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputError, OutputMismatchError, OutputUnavailableError
from s2s_map.outputs.atomic import output_errors, remove_partials
from s2s_map.outputs.disk_checks import weaknesses
from s2s_map.outputs.disk_lock import FolderLock
from s2s_map.outputs.disk_switch import settle
from s2s_map.outputs.ledger import JournalLedger, Ledger, LedgerState
from s2s_map.outputs.ledger_lines import Blocks
from s2s_map.outputs.manifest import Manifest
from s2s_map.outputs.names import (
    EMBEDDINGS,
    EXPLANATIONS,
    IMAGERY,
    ITEM,
    LAYER_ENDINGS,
    LEDGER,
    MAPS,
    PREVIEW,
    RECORD,
    RESULTS,
    SEARCH,
    SWITCH,
    wanted_names,
)
from s2s_map.outputs.path import ObjectPath, OutputPath
from s2s_map.outputs.published import GENERATIONS, LATEST, STORES, finished_home, tidy_objects
from s2s_map.outputs.s3_ledger import BLOCKS, LEDGER_FOLDER, ObjectLedger
from s2s_map.outputs.s3_lock import LOCK, ObjectLock, store_weaknesses
from s2s_map.outputs.sidecars import is_sidecar
from s2s_map.outputs.zarr_files import embeddings_exist

__all__ = [
    "EMBEDDINGS",
    "EXPLANATIONS",
    "IMAGERY",
    "ITEM",
    "LAYER_ENDINGS",
    "LEDGER",
    "MAPS",
    "PREVIEW",
    "RECORD",
    "RESULTS",
    "SEARCH",
    "check_access",
    "check_folder",
    "check_foreign",
    "differences",
    "locked",
    "open_ledger",
    "wanted_names",
]

# What a prefix may hold that runs write into.
_OUR_OBJECTS = frozenset(
    {LATEST, GENERATIONS, STORES, BLOCKS, LEDGER_FOLDER, SEARCH, EXPLANATIONS, EMBEDDINGS, LOCK}
)


def check_access(folder: OutputPath, *, write: bool = False) -> None:
    """Find out at once whether an output can be used, before anything of it is read.

    A folder whose new results a killed run was moving to their places gets them now.

    Args:
        folder: The output.
        write: Whether it is to be written to as well.

    Raises:
        OutputUnavailableError: If a run is moving new results to their places at this moment.
        OutputError: If it cannot be used, with the reason.
    """
    if isinstance(folder, ObjectPath):
        folder.check()
        if write:
            store_weaknesses(folder)
        return
    if (folder / SWITCH).exists():
        try:
            with locked(folder):
                pass
        except OutputError as error:
            raise OutputUnavailableError(
                f"{folder} is being switched to new results: {error.found}",
                remedy="try again in a moment, as somebody who may write there",
            ) from error


def open_ledger(
    home: OutputPath, guard: Callable[[], None] | None = None, *, any_store: bool = False
) -> Ledger:
    """Return the ledger of embeddings, which hears nothing that was said of another store.

    Args:
        home: Where the embeddings lie, see `published.finished_home`.
        guard: Called before every entry; raises if this process may write no longer.
        any_store: Believe what was said of whichever store.
    """
    store, size = (None, None) if any_store else read_store_mark(home / EMBEDDINGS)
    blocks = None if size is None else Blocks(*size)
    if isinstance(home, ObjectPath):
        return ObjectLedger(home, guard, store, blocks)
    return JournalLedger(home / LEDGER, guard, store, blocks)


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
    """Open embeddings for who reads them: blocks are compared with the ledger.

    Args:
        home: Where they lie, see `published.finished_home`.
        state: What their ledger says, if it is known.

    Raises:
        StoreError: If there are none, or their metadata are damaged.
    """
    store = EmbeddingsStore.open(home / EMBEDDINGS)
    return SealedEmbeddings.seal(store, (state or open_ledger(home).state()).seals)


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
            tidy_objects(folder)
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
        settle(folder)
        yield lock
    finally:
        lock.release()


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
    store = (finished_home(folder) if home is None else home) / EMBEDDINGS
    if not embeddings_exist(store):
        check_foreign(folder)
        return
    there = EmbeddingsStore.open(store).attributes.get("identity", {})
    changed = differences(there, identity)
    if changed:
        raise OutputMismatchError(
            f"{folder} holds embeddings of a different config: {', '.join(changed)}",
            remedy="name another output:, or start anew with --overwrite, which keeps what is "
            "there until the new maps are written",
        )


def check_foreign(folder: OutputPath) -> None:
    """Check that a folder is one that runs made, or holds nothing that others did.

    What GDAL and QGIS write by themselves beside rasters does not count.

    Raises:
        OutputError: If it holds something that no run wrote.
    """
    if isinstance(folder, Path):
        if not folder.exists() or (folder / EMBEDDINGS).exists():
            return
        ours: Callable[[str], bool] = Manifest(folder).knows
    else:
        ours = _OUR_OBJECTS.__contains__
    there = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    foreign = sorted(name for name in there if not (is_sidecar(name) or ours(name)))
    if foreign:
        raise OutputError(
            f"{folder} holds other files, such as {foreign[0]}",
            expected="an empty folder or one that a run made",
            remedy="name another output:",
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
