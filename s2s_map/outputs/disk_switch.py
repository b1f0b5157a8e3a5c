"""New results of a folder take the place of the old ones: all of them, or none.

New results are whole in ``.next`` before anything of the old is touched. Then everything is
checked, and what is to be done is written to a journal. From there on the new results are what
counts: whoever comes next, a run or a reader, ends what a killed one has begun. What is replaced
is either ours and as we wrote it, or damaged; anything else is set aside under another name.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s2s_map.errors import OutputError
from s2s_map.outputs import names
from s2s_map.outputs.atomic import output_errors, replacing_file
from s2s_map.outputs.checksums import FileEntry, file_entries
from s2s_map.outputs.durable import make_durable
from s2s_map.outputs.manifest import Manifest, read_files, recorded_files
from s2s_map.outputs.sidecars import derived_from, is_only_statistics, is_sidecar
from s2s_map.outputs.zarr_files import is_embeddings_file, is_maps_file

_OLD = "old"
_RESULTS = "results"


@dataclass
class Switch:
    """What is to be done, in this order; every step may be done again.

    Attributes:
        aside: What somebody changed, and the name that it gets.
        retire: Names of what goes, as it was when it was checked: size and time of change.
        put: Names of what comes, each with its place below ``.next``.
        files: The manifest afterwards.
        notes: What is worth a line.
    """

    aside: dict[str, str] = field(default_factory=dict)
    retire: dict[str, list[int] | None] = field(default_factory=dict)
    put: dict[str, str] = field(default_factory=dict)
    files: dict[str, FileEntry] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        files = {name: entry.as_dict(times=True) for name, entry in self.files.items()}
        return {"aside": self.aside, "retire": self.retire, "put": self.put, "files": files}


def foreign_names(out: Path, wanted: Sequence[str]) -> list[str]:
    """Return those of the names that a run wants to write which are taken by somebody's own."""
    manifest = Manifest(out)
    return [name for name in wanted if (out / name).exists() and not manifest.knows(name)]


def check_names(out: Path, wanted: Sequence[str], *, kept: Path | None = None) -> None:
    """Check that a folder has room for files of these names.

    Args:
        out: The folder.
        wanted: Names directly in it.
        kept: Where finished work waits for the room, if there is any.

    Raises:
        OutputError: If one is taken by a file that no run wrote.
    """
    foreign = foreign_names(out, wanted)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise OutputError(
            f"{out} holds {foreign[0]}{more}, which no run wrote and this one would write over",
            remedy="move it away, or give the query another name"
            + (f"; what is done is kept in {kept}, start the same command again" if kept else ""),
        )


def switch(
    out: Path, results: Path, home: Path | None, note: Callable[[str], None] = lambda _: None
) -> None:
    """Have new results take the place of the old ones.

    Args:
        out: The folder, held by this process.
        results: The new results, whole.
        home: Where new embeddings and their ledger lie, if they are to be replaced as well.
        note: Called with what was set aside.

    Raises:
        OutputError: If a file that no run wrote is in the way; nothing was changed.
    """
    with output_errors(out):
        plan = _planned(out, results, home)
        journal = out / names.SWITCH
        with replacing_file(journal) as partial:
            partial.write_text(json.dumps(plan.as_dict()), encoding="utf-8")
            make_durable(partial, partial.parent)
        make_durable(journal, out)
        for line in plan.notes:
            note(line)
        _carry_out(out, plan)


def settle(out: Path) -> bool:
    """End what a killed `switch` has begun; only for the process that holds the folder.

    Returns:
        Whether there was something to end.
    """
    journal = out / names.SWITCH
    if not journal.exists():
        return False
    with output_errors(out):
        content = json.loads(journal.read_bytes())
        plan = Switch(content["aside"], content["retire"], content["put"])
        plan.files = read_files(content["files"])
        _carry_out(out, plan)
    return True


def _planned(out: Path, results: Path, home: Path | None) -> Switch:
    place = out / names.NEXT
    new = file_entries(results, recorded_files(results))
    tops = sorted({name.partition("/")[0] for name in new}, key=lambda name: name == names.RECORD)
    plan = Switch(files=new)
    if home is not None:
        plan.put = {
            name: (home / name).relative_to(place).as_posix()
            for name in names.HOME
            if (home / name).exists()
        }
    plan.put |= {name: (results / name).relative_to(place).as_posix() for name in tops}
    check_names(out, list(plan.put), kept=place)
    manifest = Manifest(out)
    gone = [name for name in sorted(manifest.top) if name not in plan.put]
    if home is not None and not (home / names.SEARCH).exists():
        gone.append(names.SEARCH)
    for name in [*plan.put, *gone]:
        if (out / name).exists():
            _retire(out, name, manifest, plan)
    return plan


def _retire(out: Path, name: str, manifest: Manifest, plan: Switch) -> None:
    """Decide what becomes of a file of ours that goes or is replaced."""
    path = out / name
    stays = name not in plan.put
    if stays and not manifest.knows(name):
        return
    changed = manifest.is_changed(name)
    if changed and stays:
        # Nothing takes its place: whoever changed it finds it where it was.
        plan.notes.append(f"{name} was changed since it was written: it stays")
        return
    same = (
        name in plan.files
        and not changed
        and manifest.files.get(name) is not None
        and manifest.files[name].sha256 == plan.files[name].sha256
    )
    if changed:
        plan.aside[name] = _free(out, name, plan)
        plan.notes.append(
            f"{name} was changed since it was written: it is kept as {plan.aside[name]}"
        )
    else:
        plan.retire[name] = _signature(path)
    for sidecar in () if same else derived_from(path):
        if changed or not is_only_statistics(sidecar):
            base = plan.aside.get(name) or _free(out, name, plan)
            plan.aside[sidecar.name] = base + sidecar.name.removeprefix(name)
            plan.notes.append(
                f"{sidecar.name} was made from the layer before: it is kept as "
                f"{plan.aside[sidecar.name]}"
            )
        else:
            # Statistics of the old layer, which GDAL would believe; it makes them again.
            plan.retire[sidecar.name] = _signature(sidecar)


def _carry_out(out: Path, plan: Switch) -> None:
    place = out / names.NEXT
    old = place / _OLD
    old.mkdir(parents=True, exist_ok=True)
    for name, other in plan.aside.items():
        if (out / name).exists() and not (out / other).exists():
            os.rename(out / name, out / other)
    for name, seen in plan.retire.items():
        path = out / name
        waits = name in plan.put and (place / plan.put[name]).exists()
        done = (old / name).exists() or (name in plan.put and not waits)
        if done or not path.exists():
            continue
        if _signature(path) != seen:
            # Changed since it was checked, by somebody who came after a kill.
            os.rename(path, out / _free(out, name, plan))
        elif path.is_dir() or not waits:
            os.rename(path, old / name)
    for name, source in plan.put.items():
        if (place / source).exists():
            os.replace(place / source, out / name)
    for name, entry in plan.files.items():
        file = out / name
        if file.exists():
            changed = file.stat().st_mtime_ns
            plan.files[name] = FileEntry(entry.size, entry.sha256, entry.e_tag, changed)
    before = Manifest(out)
    _remove_old(out, old, before, plan)
    Manifest(out).write(plan.files)
    (out / names.SWITCH).unlink(missing_ok=True)
    make_durable(out / names.MANIFEST, out)
    if not (place / names.EMBEDDINGS).exists():
        shutil.rmtree(place, ignore_errors=True)
        return
    # Of a run that --overwrite began and that is not finished.
    for part in (old, place / _RESULTS):
        shutil.rmtree(part, ignore_errors=True)


def _remove_old(out: Path, old: Path, before: Manifest, plan: Switch) -> None:
    """Remove what went; files within folders of ours that we did not write are put back."""
    for path in sorted(old.iterdir()):
        if not path.is_dir():
            path.unlink()
            continue
        ours = _part_of(path.name, before)
        for file in [p for p in path.rglob("*") if not p.is_dir()]:
            if ours(file.relative_to(path).as_posix()):
                file.unlink()
        for folder in sorted((p for p in path.rglob("*") if p.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()
        if any(path.iterdir()):
            os.rename(path, out / _free(out, path.name, plan))
        else:
            shutil.rmtree(path)


def _part_of(name: str, before: Manifest) -> Callable[[str], bool]:
    if name == names.EMBEDDINGS:
        return is_embeddings_file
    listed = {n.removeprefix(f"{name}/") for n in before.files if n.startswith(f"{name}/")}
    # Of version 0.1.0 no file is listed.
    return lambda part: part in listed or is_sidecar(part) or (not listed and is_maps_file(part))


def _signature(path: Path) -> list[int] | None:
    """Return what shows that a file was changed; None for a folder, see `_remove_old`."""
    if path.is_dir():
        return None
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _free(out: Path, name: str, plan: Switch) -> str:
    """Return a name for what is set aside: ``waves.changed-1.tif`` for ``waves.tif``."""
    stem, dot, ending = name.rpartition(".")
    taken, number = set(plan.aside.values()), 1
    while True:
        found = f"{stem}.changed-{number}{dot}{ending}"
        if found not in taken and not (out / found).exists():
            return found
        number += 1
