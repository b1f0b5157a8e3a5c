"""Where maps are built until they are whole, and how their files come there.

On a disk they are built beside their place and moved there in the end. An object store cannot move:
there they are built in their place, where nobody looks until the run that they belong to is
published, with their markers beside them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s2s_map.outputs.atomic import swap_folder
from s2s_map.outputs.names import MARKERS
from s2s_map.outputs.path import ObjectPath, OutputPath, as_object, copy_objects, transfer
from s2s_map.outputs.staging import upload_folder
from s2s_map.outputs.zarr_files import MAP_VARIABLES

_FOLDER = ".{}.building"
IDENTITY = "identity"
"""Name of the marker that is written last: what has it is whole."""


def markers_of(target: OutputPath) -> OutputPath:
    """Return where the markers of maps lie that will lie at `target`; on a disk with the maps."""
    if isinstance(target, ObjectPath):
        return target.parent / MARKERS
    return target.parent / _FOLDER.format(target.name)


def place_of(target: OutputPath) -> OutputPath:
    """Return where the group lies meanwhile."""
    return target if isinstance(target, ObjectPath) else markers_of(target) / target.name


@contextmanager
def begun(target: OutputPath) -> Iterator[Path]:
    """Yield a local path to make the empty group at; what an abandoned building left is removed."""
    if isinstance(target, ObjectPath):
        # With the files of layers.
        target.parent.remove_tree()
        with tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
            made = Path(name) / target.name
            yield made
            upload_folder(made, target)
        return
    folder = target.parent / _FOLDER.format(target.name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder / target.name


def take_over(place: ObjectPath, target: OutputPath) -> None:
    """Move a building that was given up, with its markers, to where maps are built now.

    Args:
        place: Where it lies.
        target: Where the maps will lie.
    """
    here = as_object(target).parent
    pairs = [(file, here / file.relative_to(place)) for file in place.files()]
    # Markers last, and last of them the one that says that all is there.
    marks = [pair for pair in pairs if pair[0].relative_to(place).parts[0] == MARKERS]
    marks.sort(key=lambda pair: pair[0].name == IDENTITY)
    copy_objects([pair for pair in pairs if pair not in marks])
    copy_objects(marks[:-1])
    copy_objects(marks[-1:])
    place.remove_tree()


@contextmanager
def local_group(group: OutputPath, concept: int) -> Iterator[Path]:
    """Yield a group of maps that GDAL can read, with the cells of one concept at least.

    Raises:
        OutputError: If they cannot be fetched from where they lie.
    """
    if isinstance(group, Path):
        yield group
        return
    with tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
        copy = Path(name) / group.name
        wanted = [
            file
            for child in group.iterdir()
            for file in (
                _layer_objects(child, concept)
                if child.name in MAP_VARIABLES
                else [child]
                if child.suffix or child.name.startswith(".z")
                else child.files()
            )
        ]
        transfer([(f, copy / f.relative_to(group)) for f in wanted], up=False)
        yield copy


def put_in_place(target: OutputPath) -> None:
    """Move finished maps to their place; in an object store they are there already.

    There the markers stay until the run is published.
    """
    if isinstance(target, Path):
        folder = target.parent / _FOLDER.format(target.name)
        swap_folder(folder / target.name, target)
        shutil.rmtree(folder, ignore_errors=True)


def take_chunks(source: OutputPath, target: OutputPath, old: int, new: int) -> None:
    """Take over the chunks of one concept, undecoded.

    Args:
        source: Array of the finished maps.
        target: Array of the same layout.
        old: Place of the concept in the one.
        new: Place of the concept in the other.
    """
    if isinstance(source, ObjectPath):
        _copy_chunks(source, as_object(target), old, new)
    elif isinstance(target, Path):
        _link_chunks(source, target, old, new)


def _layer_objects(array: ObjectPath, index: int) -> list[ObjectPath]:
    """Return the metadata of an array and the chunks of one concept."""
    nested = (array / "c" / str(index)).files()
    flat = [
        path
        for path in array.iterdir()
        if path.name in ("zarr.json", ".zarray", ".zattrs") or path.name.startswith(f"{index}.")
    ]
    return [*flat, *nested]


def _copy_chunks(source: ObjectPath, target: ObjectPath, old: int, new: int) -> None:
    """Copy the chunks of one concept on the server."""
    for path in _layer_objects(source, old):
        part = str(path.relative_to(source))
        if part.startswith(f"c/{old}/"):
            path.copy_to(target / f"c/{new}/{part.removeprefix(f'c/{old}/')}")
        elif part.startswith(f"{old}."):
            path.copy_to(target / f"{new}.{part.partition('.')[2]}")


def _link_chunks(source: Path, target: Path, old: int, new: int) -> None:
    """Link the chunks of one concept, which are never changed in place."""
    deep = source / "c" / str(old)
    found = (
        [(file, target / "c" / str(new) / file.relative_to(deep)) for file in deep.rglob("*")]
        if deep.is_dir()
        else [
            (file, target / f"{new}.{file.name.partition('.')[2]}")
            for file in source.glob(f"{old}.*")
        ]
    )
    for file, link in found:
        if file.is_dir() or link.exists():
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, link)
        except OSError:
            # A file system without hard links.
            shutil.copyfile(file, link)
