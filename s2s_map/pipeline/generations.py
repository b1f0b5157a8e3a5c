"""Where the results of a run lie, and when readers see them.

In a local folder results lie beside the embeddings, each replaced when it is whole. An object store
has no renames: there each run, and each query, writes a generation of its own below ``results/``,
and ``latest.json`` is switched to it last. Readers follow it and so never see a half-written run.
The generation before stays, for readers at work; older ones are removed.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from s2s_map.embeddings.objects import ObjectPath, OutputPath
from s2s_map.errors import StoreError
from s2s_map.rasters.building import MARKERS

LATEST, RESULTS = "latest.json", "results"
SCHEMA = 1


def finished_results(out: OutputPath) -> OutputPath:
    """Return where the finished results of an output lie; `out` itself while there are none.

    Raises:
        StoreError: For a damaged ``latest.json``.
    """
    if isinstance(out, ObjectPath):
        number = _latest(out)
        return out / RESULTS / _name(number) if number else out
    return out


def next_results(out: OutputPath) -> OutputPath:
    """Return where the next results are written; a run that goes on gets the same place again."""
    if isinstance(out, ObjectPath):
        return out / RESULTS / _name(_latest(out) + 1)
    return out


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
        OutputError: If the store refuses.
    """
    if not isinstance(out, ObjectPath) or not isinstance(results, ObjectPath):
        return
    number = int(results.name)
    place = f"{RESULTS}/{results.name}"
    content = {
        "schema": SCHEMA,
        "generation": number,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "results": place,
        "run": f"{place}/run.json",
        "item": f"{place}/item.json",
        "maps": f"{place}/maps.zarr",
        "embeddings": "embeddings.zarr",
    }
    (out / LATEST).write_bytes((json.dumps(content, indent=2) + "\n").encode())
    (results / MARKERS).remove_tree()
    for old in (out / RESULTS).iterdir():
        if old.name.isdigit() and int(old.name) < number - 1 and isinstance(old, ObjectPath):
            old.remove_tree()


def _latest(out: ObjectPath) -> int:
    try:
        content = json.loads((out / LATEST).read_text())
        return int(content["generation"])
    except FileNotFoundError:
        return 0
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{out / LATEST} is damaged ({error!r})", remedy="start anew with --overwrite"
        ) from None


def _name(number: int) -> str:
    return f"{number:04d}"
