"""A ``maps.zarr`` while it is built, region by region, going on if killed.

On a disk it is built beside its place and moved there in the end. An object store cannot move:
there it is built in its place, where nobody looks until the run that it belongs to is published,
with its markers beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from s2s_map.errors import OutputError
from s2s_map.outputs.atomic import output_errors, replacing_file, swap_folder
from s2s_map.outputs.names import MARKERS
from s2s_map.outputs.path import ObjectPath, OutputPath, copy_objects, transfer
from s2s_map.outputs.staging import upload_folder
from s2s_map.outputs.zarr_files import MAP_VARIABLES
from s2s_map.rasters.cells import StoredCells
from s2s_map.rasters.maps import MapRegion, map_regions, read_maps_grid
from s2s_map.rasters.maps_schema import create_group, describe_group, variable
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.scoring.summary import LayerSummary
from s2s_map.tiling.grid import MapGrid

_FOLDER = ".{}.building"


@dataclass(frozen=True)
class MapsBuilding:
    """Maps that are being written, with a marker for each part that is done.

    It holds paths only and pickles, so that tasks elsewhere can write regions and mark them.

    Attributes:
        target: Where the maps will lie, by custom ``maps.zarr``.
        names: Names of the layers, in order.
        grid: The cells.
        time_slots: Labels of the time slots.
    """

    target: OutputPath
    names: tuple[str, ...]
    grid: MapGrid
    time_slots: tuple[str, ...]

    @property
    def folder(self) -> OutputPath:
        """Where the markers lie, on a disk with the maps."""
        if isinstance(self.target, ObjectPath):
            return self.target.parent / MARKERS
        return self.target.parent / _FOLDER.format(self.target.name)

    @property
    def path(self) -> OutputPath:
        """The group meanwhile."""
        if isinstance(self.target, ObjectPath):
            return self.target
        return self.folder / self.target.name

    def begin(
        self,
        identity: Mapping[str, Any],
        zarr_format: Literal[2, 3],
        unfinished: Sequence[ObjectPath] = (),
    ) -> bool:
        """Go on with what is there if it was to become the same maps, else begin anew.

        Args:
            identity: What decides the cells of the maps, anything JSON can hold.
            zarr_format: Version of the Zarr format.
            unfinished: Where buildings in an object store that were given up lie; what belongs to
                the same maps is moved here.

        Returns:
            Whether it goes on.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        text = json.dumps(
            [identity, self.names, self.time_slots, zarr_format], sort_keys=True, default=str
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        marker = self.folder / "identity"
        if marker.exists() and marker.read_text(encoding="utf-8") == digest:
            return True
        for place in unfinished:
            left = place / MARKERS / marker.name
            if left.exists() and left.read_text(encoding="utf-8") == digest:
                with output_errors(self.target):
                    self._take_over(place)
                return True
        with output_errors(self.target):
            self._make(zarr_format)
        # Last: a folder with its identity is whole.
        with replacing_file(marker) as partial:
            partial.write_text(digest, encoding="utf-8")
        return False

    def carry(self, layers: Sequence[ConceptLayer]) -> None:
        """Take over layers of the finished maps as they are, without decoding where possible.

        Args:
            layers: Layers that `read_maps` gave, of names in this building.
        """
        done = self.folder / "carried"
        if done.exists():
            return
        with output_errors(self.target):
            for layer in layers:
                for cells in (layer.probability, layer.similarity):
                    if not isinstance(cells, StoredCells):
                        raise TypeError(f"layer {layer.name} does not lie in maps")
                    self._carry(cells, self.names.index(layer.name))
            done.touch()

    def _make(self, zarr_format: Literal[2, 3]) -> None:
        if isinstance(self.target, ObjectPath):
            # With the files of layers that an abandoned building may have left.
            self.target.parent.remove_tree()
            with tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
                made = Path(name) / self.target.name
                create_group(made, self.names, self.grid, self.time_slots, zarr_format)
                upload_folder(made, self.target)
            return
        if isinstance(self.folder, Path) and isinstance(self.path, Path):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            create_group(self.path, self.names, self.grid, self.time_slots, zarr_format)

    def _take_over(self, place: ObjectPath) -> None:
        if not isinstance(self.target, ObjectPath):
            raise TypeError(f"{self.target} is local")
        target = self.target.parent
        pairs = [(file, target / file.relative_to(place)) for file in place.files()]
        # Markers last, and last of them the one that says that all is there.
        marks = [pair for pair in pairs if pair[0].relative_to(place).parts[0] == MARKERS]
        marks.sort(key=lambda pair: pair[0].name == "identity")
        copy_objects([pair for pair in pairs if pair not in marks])
        copy_objects(marks[:-1])
        copy_objects(marks[-1:])
        place.remove_tree()

    def check_there(self) -> None:
        """Check that the folder is where it was: what writes a part would make it anew.

        Raises:
            OutputError: If it was renamed or removed; in an object store nothing can be.
        """
        if isinstance(self.folder, Path) and not (self.folder / "identity").exists():
            raise OutputError(
                f"{self.target.parent} was renamed or removed while maps were written to it",
                remedy="put it back and start the same command again",
            )

    def missing_regions(self) -> list[MapRegion]:
        """Return the regions that are not marked as done."""
        markers = self.folder / "regions"
        done = {marker.name for marker in markers.iterdir()} if markers.is_dir() else set()
        return [region for region in map_regions(self.grid) if region.key not in done]

    def region_done(self, region: MapRegion) -> None:
        """Mark a region whose cells are written."""
        with output_errors(self.target):
            marker = self._region_marker(region)
            marker.parent.mkdir(exist_ok=True)
            marker.touch()

    def layer_done(self, name: str, summary: LayerSummary) -> None:
        """Keep the summary of a layer whose files are written."""
        with replacing_file(self._layer_marker(name)) as partial:
            partial.write_text(json.dumps(summary.as_dict()), encoding="utf-8")

    def layer_summary(self, name: str) -> LayerSummary | None:
        """Return the summary of a layer whose files are written, None if they are not."""
        marker = self._layer_marker(name)
        if not marker.exists():
            return None
        return LayerSummary.from_dict(json.loads(marker.read_text(encoding="utf-8")))

    def cells(self, name: str, kind: str) -> StoredCells:
        """Return cells of a layer as they are so far, to read."""
        shape = (len(self.time_slots), *self.grid.shape)
        return StoredCells(self.path, kind, self.names.index(name), shape)

    @contextmanager
    def local_layer(self, layer: ConceptLayer) -> Iterator[ConceptLayer]:
        """Yield a layer of this building with cells that GDAL can read: on the local disk.

        Raises:
            OutputError: If they cannot be fetched from where they lie.
        """
        if not isinstance(self.path, ObjectPath):
            yield layer
            return
        with tempfile.TemporaryDirectory(prefix="s2s-map-") as name:
            copy, index = Path(name) / self.path.name, self.names.index(layer.name)
            wanted = [
                file
                for child in self.path.iterdir()
                for file in (
                    _layer_objects(child, index)
                    if child.name in MAP_VARIABLES
                    else [child]
                    if child.suffix or child.name.startswith(".z")
                    else child.files()
                )
            ]
            transfer([(f, copy / f.relative_to(self.path)) for f in wanted], up=False)
            shape = (len(self.time_slots), *self.grid.shape)
            yield replace(
                layer,
                probability=StoredCells(copy, "probability", index, shape),
                similarity=StoredCells(copy, "similarity", index, shape),
            )

    def finish(self, layers: Sequence[ConceptLayer], attributes: Mapping[str, Any]) -> None:
        """Describe the maps and put them in their place.

        In an object store they are there already, and the markers stay until the run is published.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        with output_errors(self.target):
            describe_group(self.path, layers, self.grid, attributes)
            if isinstance(self.target, Path):
                swap_folder(Path(str(self.path)), self.target)
                shutil.rmtree(str(self.folder), ignore_errors=True)

    def _region_marker(self, region: MapRegion) -> OutputPath:
        return self.folder / "regions" / region.key

    def _layer_marker(self, name: str) -> OutputPath:
        return self.folder / "layers" / f"{name}.json"

    def _carry(self, cells: StoredCells, index: int) -> None:
        source, target = cells.path / cells.variable, self.path / cells.variable
        if _raw_layout(source) == _raw_layout(target):
            if isinstance(source, ObjectPath) and isinstance(target, ObjectPath):
                _copy_chunks(source, target, cells.concept, index)
            elif isinstance(source, Path) and isinstance(target, Path):
                _link_chunks(source, target, cells.concept, index)
            return
        array = variable(self.path, cells.variable)
        for region in map_regions(self.grid):
            array[index, :, region.y, region.x] = cells[:, region.y, region.x]


def same_cells(path: OutputPath, grid: MapGrid, time_slots: Sequence[str]) -> bool:
    """Return whether finished maps have this grid and these time slots."""
    there, slots, _ = read_maps_grid(path)
    return there.geobox == grid.geobox and slots == list(time_slots)


def _raw_layout(array: OutputPath) -> Any:
    """Return what decides how a chunk looks on disk, apart from the number of concepts."""
    for name in ("zarr.json", ".zarray"):
        if (array / name).exists():
            content = json.loads((array / name).read_text(encoding="utf-8"))
            return {
                key: value[1:] if key == "shape" else value
                for key, value in content.items()
                if key not in ("attributes", "consolidated_metadata")
            }
    raise FileNotFoundError(str(array / "zarr.json"))


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
