"""Generations of results in an object store: which one readers see, and what goes with the others.

``latest.json`` names the generation that readers follow, and so they never see a half-written run.
A generation's name has a random part: what a run still puts that has lost the prefix does not fall
into another's. The generation before stays, for readers at work; the others are removed.

Embeddings, their ledger and their search lie in the output itself, or, once they were replaced, in
a prefix below ``stores/`` that ``latest.json`` names.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from s2s_map.config.making_time import making_time
from s2s_map.errors import OutputError, StoreError
from s2s_map.outputs import names
from s2s_map.outputs.checksums import FileEntry, file_sha256
from s2s_map.outputs.manifest import read_files, recorded_files
from s2s_map.outputs.names import GENERATIONS
from s2s_map.outputs.path import ObjectPath, remove_objects
from s2s_map.outputs.s3_ledger import BLOCKS, LEDGER_FOLDER
from s2s_map.outputs.sidecars import is_sidecar
from s2s_map.outputs.zarr_files import ROOT, embeddings_exist, is_embeddings_file

LATEST, STORES = "latest.json", "stores"
SCHEMA = 1
WANTED = "wanted.json"
_MARKER = re.compile(r"r\d+-c\d+\.json")


@dataclass(frozen=True)
class Latest:
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


def read_latest(out: ObjectPath) -> Latest:
    """Return what readers see.

    Raises:
        StoreError: For a damaged ``latest.json``.
    """
    try:
        raw, info = (out / LATEST).read_tagged()
        content = json.loads(raw)
        return Latest(
            int(content["generation"]),
            PurePosixPath(content["results"]).name,
            info.e_tag,
            _home_of(content.get("home", "")) or "",
            _home_of(content.get("replaced")),
            read_files({"": content.get("run_file")}).get(""),
        )
    except FileNotFoundError:
        return Latest()
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{out / LATEST} is damaged ({error!r})", remedy="start from scratch with --overwrite"
        ) from None


def put_latest(out: ObjectPath, results: ObjectPath, home: ObjectPath | None) -> None:
    """Switch readers to a generation whose every object is there.

    Args:
        out: The prefix.
        results: The generation.
        home: Where its embeddings lie; where those before lie if None.

    Raises:
        OutputError: If another run has published meanwhile, or the store refuses.
    """
    number, before = generation_number(results.name), read_latest(out)
    if before.number + 1 != number:
        raise _overtaken(out)
    place = f"{GENERATIONS}/{results.name}"
    where = before.home
    if home is not None:
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
        if read_latest(out).name != results.name:
            raise _overtaken(out) from None
    (results / names.MARKERS).remove_tree()
    tidy_objects(out, before.name)


def tidy_objects(out: ObjectPath, before: str | None = None) -> None:
    """Remove what a published generation replaced; only for the process that holds the prefix.

    Args:
        out: The prefix.
        before: Name of the generation that stays beside it; None: all stay, only the home goes.
    """
    latest = read_latest(out)
    if latest.replaced is not None and latest.replaced != latest.home:
        remove_embeddings(out / latest.replaced if latest.replaced else out)
    if before is None:
        return
    for other in (out / GENERATIONS).iterdir():
        if other.name not in (latest.name, before) and generation_number(other.name):
            _remove_generation(other)


def remove_embeddings(home: ObjectPath) -> None:
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
    found = {*names.RESULTS, names.PROJECT}
    with suppress(FileNotFoundError, ValueError, TypeError):
        found |= set(json.loads((results / names.MARKERS / WANTED).read_bytes()))
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        assets = json.loads((results / names.ITEM).read_bytes())["assets"]
        found |= {PurePosixPath(asset["href"]).name for asset in assets.values()}
    return found


def _overtaken(out: ObjectPath) -> OutputError:
    return OutputError(
        f"another run has written results to {out} meanwhile",
        remedy="look at them, or start the same run again",
    )


def _entry(path: ObjectPath) -> dict[str, Any]:
    info = path.info()
    return FileEntry(info.size, file_sha256(path), info.e_tag).as_dict()


def _home_of(value: object) -> str | None:
    """Return a home as ``latest.json`` names it: nothing but one below ``stores/``, or ""."""
    if value is None or value == "":
        return None if value is None else ""
    parts = str(value).split("/")
    if len(parts) != 2 or parts[0] != STORES or not generation_number(parts[1]):
        raise ValueError(f"home {value!r}")
    return str(value)


def generation_number(name: str) -> int:
    """Return the number of a generation, 0 for what is none."""
    digits = name.partition("-")[0]
    return int(digits) if digits.isdigit() else 0
