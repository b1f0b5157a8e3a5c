"""Where the results of a run lie, and when readers see them.

In a local folder results lie beside the embeddings, each replaced when it is whole. An object store
has no renames: there each run, and each query, writes a generation of its own below ``results/``,
and ``latest.json`` is switched to it last. Readers follow it and so never see a half-written run.
A generation's name has a random part: what a run still puts that has lost the prefix does not fall
into another's. The generation before stays, for readers at work; the others are removed.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import PurePosixPath

from s2s_map.config.making_time import making_time
from s2s_map.embeddings.objects import ObjectPath, OutputPath
from s2s_map.errors import OutputError, StoreError
from s2s_map.rasters.building import MARKERS

LATEST, RESULTS = "latest.json", "results"
SCHEMA = 1


@dataclass(frozen=True)
class _Latest:
    """The generation that readers see; number 0 while there is none."""

    number: int = 0
    name: str = ""
    e_tag: str = ""


def finished_results(out: OutputPath) -> OutputPath:
    """Return where the finished results of an output lie; `out` itself while there are none.

    Raises:
        StoreError: For a damaged ``latest.json``.
    """
    if isinstance(out, ObjectPath):
        latest = _latest(out)
        return out / RESULTS / latest.name if latest.number else out
    return out


def next_results(out: OutputPath) -> OutputPath:
    """Return where the next results are written, in an object store another place each time."""
    if isinstance(out, ObjectPath):
        return out / RESULTS / f"{_latest(out).number + 1:04d}-{uuid.uuid4().hex[:8]}"
    return out


def unfinished_results(out: OutputPath, results: OutputPath) -> list[ObjectPath]:
    """Return where runs that ended before they published have left what could be gone on with."""
    if not isinstance(out, ObjectPath):
        return []
    number = _number(results.name)
    return [
        path
        for path in (out / RESULTS).iterdir()
        if path.name != results.name and _number(path.name) == number
    ]


def keep_files(before: OutputPath, after: OutputPath, names: list[str]) -> None:
    """Take files over from finished results into the next, those that are there."""
    if isinstance(before, ObjectPath) and isinstance(after, ObjectPath) and before != after:
        there = {path.name for path in before.iterdir()}
        for name in names:
            if name in there:
                (before / name).copy_to(after / name)


def publish(out: OutputPath, results: OutputPath) -> None:
    """Let readers see results whose every object is put.

    Raises:
        OutputError: If another run has published meanwhile, or the store refuses.
    """
    if not isinstance(out, ObjectPath) or not isinstance(results, ObjectPath):
        return
    number, before = _number(results.name), _latest(out)
    place = f"{RESULTS}/{results.name}"
    content = {
        "schema": SCHEMA,
        "generation": number,
        "created": making_time().isoformat(timespec="seconds"),
        "results": place,
        "run": f"{place}/run.json",
        "item": f"{place}/item.json",
        "maps": f"{place}/maps.zarr",
        "embeddings": "embeddings.zarr",
    }
    data = (json.dumps(content, indent=2) + "\n").encode()
    if before.number + 1 != number:
        raise _overtaken(out)
    try:
        (out / LATEST).write_bytes(data, create=not before.number, over=before.e_tag)
    except (FileExistsError, FileNotFoundError):
        # Ours after all, if it was put again because the answer got lost.
        if _latest(out).name != results.name:
            raise _overtaken(out) from None
    (results / MARKERS).remove_tree()
    for other in (out / RESULTS).iterdir():
        if other.name not in (results.name, before.name) and _number(other.name):
            other.remove_tree()


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
            int(content["generation"]), PurePosixPath(content["results"]).name, info.e_tag
        )
    except FileNotFoundError:
        return _Latest()
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{out / LATEST} is damaged ({error!r})", remedy="start anew with --overwrite"
        ) from None


def _number(name: str) -> int:
    """Return the number of a generation, 0 for what is none."""
    digits = name.partition("-")[0]
    return int(digits) if digits.isdigit() else 0
