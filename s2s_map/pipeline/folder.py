"""The output folder: whose it is, what lies in it, and who may write to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from s2s_map.embeddings.replacing import output_errors, remove_partials
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputError, OutputMismatchError
from s2s_map.pipeline.file_system import weaknesses
from s2s_map.pipeline.lock import FolderLock

EMBEDDINGS = "embeddings.zarr"
LEDGER = "ledger.jsonl"
MAPS = "maps.zarr"
IMAGERY = "imagery.tif"
PREVIEW = "preview.png"
ITEM = "item.json"
RECORD = "run.json"
SEARCH = "search.json"
EXPLANATIONS = "explanations"

_OURS = (EMBEDDINGS, LEDGER, MAPS, IMAGERY, PREVIEW, ITEM, RECORD, SEARCH, EXPLANATIONS)


@contextmanager
def locked(folder: Path, note: Callable[[str], None] | None = None) -> Iterator[FolderLock]:
    """Hold an output folder for oneself, made if missing; see `FolderLock`.

    Args:
        folder: The output folder.
        note: Told what is worth a line, such as a file system without locks.

    Raises:
        OutputError: If another run holds it, or the folder cannot be written.
    """
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


def check_folder(folder: Path, identity: Mapping[str, Any]) -> None:
    """Check that a folder is empty, or holds the results of the same embeddings.

    Raises:
        OutputError: If it holds something that no run wrote.
        OutputMismatchError: If its embeddings are of another config; it lists the differences.
        StoreError: If its embeddings are damaged.
    """
    if not (folder / EMBEDDINGS).exists():
        _refuse_foreign(folder)
        return
    there = EmbeddingsStore.open(folder / EMBEDDINGS).attributes.get("identity", {})
    changed = differences(there, identity)
    if changed:
        raise OutputMismatchError(
            f"{folder} holds embeddings of a different config: {', '.join(changed)}",
            remedy="name another output:, or start anew with --overwrite",
        )


def clear_folder(folder: Path) -> None:
    """Remove what a run wrote into a folder, and nothing else.

    Raises:
        OutputError: If it holds something that no run wrote, or cannot be emptied.
    """
    if not folder.exists():
        return
    if not (folder / EMBEDDINGS).exists():
        _refuse_foreign(folder)
    with output_errors(folder):
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


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    foreign = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if foreign and not set(foreign) <= set(_OURS):
        raise OutputError(
            f"{folder} holds other files, such as {foreign[0]}",
            expected="an empty folder or one that a run made",
            remedy="name another output:",
        )
