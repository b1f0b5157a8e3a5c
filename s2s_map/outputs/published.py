"""Where the results of a run lie, when readers see them, and what they replace.

New results are made where nobody looks, and published when they are whole. In a folder they are
made in ``.next`` and then moved to their places, see `disk_switch`. An object store has no renames:
there each run, and each query, writes a generation of its own below ``results/``, and
``latest.json`` is switched to it last. Readers follow it and so never see a half-written run. A
generation's name has a random part: what a run still puts that has lost the prefix does not fall
into another's. The generation before stays, for readers at work; the others are removed.

Embeddings, their ledger and their search have one home: the output itself, or, once they were
replaced by ``--overwrite`` in an object store, a prefix below ``stores/`` that ``latest.json``
names. Those that are to replace them are made in another home and published with their maps.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from s2s_map.config.making_time import making_time
from s2s_map.errors import OutputError, StoreError
from s2s_map.outputs import names
from s2s_map.outputs.checksums import FileEntry, file_sha256
from s2s_map.outputs.disk_switch import switch
from s2s_map.outputs.manifest import Manifest, read_files, recorded_files
from s2s_map.outputs.path import ObjectPath, OutputPath, remove_objects
from s2s_map.outputs.s3_ledger import BLOCKS, LEDGER_FOLDER
from s2s_map.outputs.sidecars import is_sidecar
from s2s_map.outputs.zarr_files import ROOT, embeddings_exist, is_embeddings_file

LATEST, GENERATIONS, STORES = "latest.json", "results", "stores"
SCHEMA = 1
_WANTED = "wanted.json"
_MARKER = re.compile(r"r\d+-c\d+\.json")


@dataclass(frozen=True)
class _Latest:
    """The generation that readers see; number 0 while there is none.

    Attributes:
        number: Of the generation.
        name: Of the generation.
        e_tag: Of ``latest.json``.
        home: Prefix of the home of its embeddings, "" for the output itself.
        replaced: Home that it took the place of and that may still be there; None if none did.
        run: Its ``run.json``, which lists all other files; None for those of version 0.1.0.
    """

    number: int = 0
    name: str = ""
    e_tag: str = ""
    home: str = ""
    replaced: str | None = None
    run: FileEntry | None = None


def finished_results(out: OutputPath) -> OutputPath:
    """Return where the finished results of an output lie; `out` itself while there are none.

    Raises:
        StoreError: For a damaged ``latest.json``.
    """
    if isinstance(out, ObjectPath):
        latest = _latest(out)
        return out / GENERATIONS / latest.name if latest.number else out
    return out


def finished_files(out: OutputPath) -> dict[str, FileEntry]:
    """Return every file of the finished results by name; nothing for those of version 0.1.0."""
    if isinstance(out, Path):
        return Manifest(out).files
    latest = _latest(out)
    if latest.run is None:
        return {}
    return {**recorded_files(out / GENERATIONS / latest.name), names.RECORD: latest.run}


def next_results(out: OutputPath) -> OutputPath:
    """Return where the next results are written, in an object store another place each time."""
    if isinstance(out, ObjectPath):
        return out / GENERATIONS / f"{_latest(out).number + 1:04d}-{uuid.uuid4().hex[:8]}"
    return out / names.NEXT / GENERATIONS


def finished_home(out: OutputPath) -> OutputPath:
    """Return where the embeddings lie that the finished results are made from, or will be.

    Raises:
        StoreError: For a damaged ``latest.json``.
    """
    if isinstance(out, ObjectPath):
        latest = _latest(out)
        return out / latest.home if latest.home else out
    return out


def next_home(out: OutputPath) -> OutputPath:
    """Return a home for embeddings that are to replace those of an output; nothing is there."""
    if isinstance(out, ObjectPath):
        return out / STORES / f"{_latest(out).number + 1:04d}-{uuid.uuid4().hex[:8]}"
    return out / names.NEXT


def unfinished_homes(out: OutputPath) -> list[OutputPath]:
    """Return the homes of embeddings that were to replace those of an output and did not yet."""
    if isinstance(out, ObjectPath):
        finished = finished_home(out)
        found = [path for path in (out / STORES).iterdir() if path != finished]
        return [path for path in found if embeddings_exist(path / names.EMBEDDINGS)]
    there = (out / names.NEXT / names.EMBEDDINGS).exists()
    return [out / names.NEXT] if there else []


def remove_home(home: OutputPath) -> None:
    """Remove embeddings that never became those of an output, with their ledger and search."""
    if isinstance(home, ObjectPath):
        _remove_home(home)
    elif home.name == names.NEXT:
        # First what says that blocks are finished.
        (home / names.LEDGER).unlink(missing_ok=True)
        shutil.rmtree(home, ignore_errors=True)


def unfinished_results(out: OutputPath, results: OutputPath) -> list[ObjectPath]:
    """Return where runs that ended before they published have left what could be gone on with."""
    if not isinstance(out, ObjectPath):
        return []
    number = _number(results.name)
    return [
        path
        for path in (out / GENERATIONS).iterdir()
        if path.name != results.name and _number(path.name) == number
    ]


def clear_results(results: OutputPath, but: OutputPath) -> None:
    """Remove what a killed run left in a folder where results are made.

    Args:
        results: The folder; prefixes have a random name each time.
        but: What stays.
    """
    if isinstance(results, Path):
        for path in results.iterdir():
            if path != but:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def keep_files(before: OutputPath, after: OutputPath, wanted: Collection[str]) -> None:
    """Take files over from finished results into the next, those that are there."""
    if before == after or not wanted:
        return
    there = {path.name for path in before.iterdir()}
    for name in wanted:
        if name not in there:
            continue
        source, target = before / name, after / name
        if isinstance(source, ObjectPath) and isinstance(target, ObjectPath):
            source.copy_to(target)
        elif isinstance(source, Path) and isinstance(target, Path) and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError:
                # A file system without hard links.
                shutil.copy2(source, target)


def publish(
    out: OutputPath,
    results: OutputPath,
    home: OutputPath | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Let readers see results whose every file is there.

    Args:
        out: The output.
        results: The results.
        home: Where the embeddings are that they were made from; those of the output if None.
        note: Told what was set aside.

    Raises:
        OutputError: If another run has published meanwhile, the store refuses, or a file that no
            run wrote is in the way.
    """
    if isinstance(out, Path) and isinstance(results, Path):
        switch(out, results, home if isinstance(home, Path) and home != out else None, note)
        return
    if not isinstance(out, ObjectPath) or not isinstance(results, ObjectPath):
        return
    number, before = _number(results.name), _latest(out)
    if before.number + 1 != number:
        raise _overtaken(out)
    place = f"{GENERATIONS}/{results.name}"
    where = before.home
    if isinstance(home, ObjectPath):
        where = home.relative_to(out).as_posix() if home != out else ""
    beside = f"{where}/" if where else ""
    content = {
        "schema": SCHEMA,
        "generation": number,
        "created": making_time().isoformat(timespec="seconds"),
        "results": place,
        "run": f"{place}/run.json",
        "run_file": _entry(results / names.RECORD),
        "item": f"{place}/item.json",
        "maps": f"{place}/maps.zarr",
        "embeddings": f"{beside}{names.EMBEDDINGS}",
        "home": where,
        "replaced": before.home if where != before.home else None,
    }
    data = (json.dumps(content, indent=2) + "\n").encode()
    try:
        (out / LATEST).write_bytes(data, create=not before.number, over=before.e_tag)
    except (FileExistsError, FileNotFoundError):
        # Ours after all, if it was put again because the answer got lost.
        if _latest(out).name != results.name:
            raise _overtaken(out) from None
    (results / names.MARKERS).remove_tree()
    tidy_objects(out, before.name)


def _entry(path: ObjectPath) -> dict[str, Any]:
    info = path.info()
    return FileEntry(info.size, file_sha256(path), info.e_tag).as_dict()


def tidy_objects(out: ObjectPath, before: str | None = None) -> None:
    """Remove what a published generation replaced; only for the process that holds the prefix.

    Args:
        out: The prefix.
        before: Name of the generation that stays beside it; None: all stay, only the home goes.
    """
    latest = _latest(out)
    if latest.replaced is not None and latest.replaced != latest.home:
        _remove_home(out / latest.replaced if latest.replaced else out)
    if before is None:
        return
    for other in (out / GENERATIONS).iterdir():
        if other.name not in (latest.name, before) and _number(other.name):
            _remove_generation(other)


def announce(results: OutputPath, wanted: Collection[str]) -> None:
    """Note in an object store what is about to be written, so that a killed run's files are known.

    Args:
        results: Where the results go.
        wanted: Names directly there.
    """
    if isinstance(results, ObjectPath):
        (results / names.MARKERS / _WANTED).write_bytes(json.dumps(sorted(wanted)).encode())


def _remove_home(home: ObjectPath) -> None:
    """Remove embeddings and their ledger, and nothing else that lies there.

    The metadata of the store go last: without them nothing of a home is there.
    """
    store, blocks = home / names.EMBEDDINGS, home / BLOCKS
    if not embeddings_exist(store):
        return
    ours = [home / LEDGER_FOLDER / "blocks.jsonl", home / LEDGER_FOLDER / "run.json"]
    ours += [path for path in blocks.files() if _MARKER.fullmatch(str(path.relative_to(blocks)))]
    ours += [p for p in store.files() if is_embeddings_file(str(p.relative_to(store)))]
    ours.append(home / names.SEARCH)
    remove_objects([path for path in ours if path != store / ROOT])
    remove_objects([store / ROOT])


def _remove_generation(results: ObjectPath) -> None:
    """Remove a generation: what its record lists, or what it was announced to hold."""
    listed, there = recorded_files(results), results.files()
    tops = set() if listed else _announced(results)
    ours = []
    for path in there:
        name = str(path.relative_to(results))
        top = name.partition("/")[0]
        known = name in listed or top in tops or top in (names.MARKERS, names.RECORD)
        if known or is_sidecar(name):
            ours.append(path)
    remove_objects(ours)


def _announced(results: ObjectPath) -> set[str]:
    """Return the names directly in a generation that a run was to write, or version 0.1.0 wrote."""
    found = set(names.RESULTS)
    with suppress(FileNotFoundError, ValueError, TypeError):
        found |= set(json.loads((results / names.MARKERS / _WANTED).read_bytes()))
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        assets = json.loads((results / names.ITEM).read_bytes())["assets"]
        found |= {PurePosixPath(asset["href"]).name for asset in assets.values()}
    return found


def _overtaken(out: ObjectPath) -> OutputError:
    return OutputError(
        f"another run has written results to {out} meanwhile",
        remedy="look at them, or start the same run again",
    )


def _latest(out: ObjectPath) -> _Latest:
    try:
        raw, info = (out / LATEST).read_tagged()
        content = json.loads(raw)
        return _Latest(
            int(content["generation"]),
            PurePosixPath(content["results"]).name,
            info.e_tag,
            _home_of(content.get("home", "")) or "",
            _home_of(content.get("replaced")),
            read_files({"": content.get("run_file")}).get(""),
        )
    except FileNotFoundError:
        return _Latest()
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{out / LATEST} is damaged ({error!r})", remedy="start anew with --overwrite"
        ) from None


def _home_of(value: object) -> str | None:
    """Return a home as ``latest.json`` names it: nothing but one below ``stores/``, or ""."""
    if value is None or value == "":
        return None if value is None else ""
    parts = str(value).split("/")
    if len(parts) != 2 or parts[0] != STORES or not _number(parts[1]):
        raise ValueError(f"home {value!r}")
    return str(value)


def _number(name: str) -> int:
    """Return the number of a generation, 0 for what is none."""
    digits = name.partition("-")[0]
    return int(digits) if digits.isdigit() else 0
