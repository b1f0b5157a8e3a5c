"""A ``maps.zarr`` while it is built: beside its place, region by region, going on if killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from s2s_map.embeddings.replacing import output_errors, replacing_file, swap_folder
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

    target: Path
    names: tuple[str, ...]
    grid: MapGrid
    time_slots: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where they lie meanwhile, with their markers."""
        return self.target.parent / _FOLDER.format(self.target.name)

    @property
    def path(self) -> Path:
        """The group meanwhile."""
        return self.folder / self.target.name

    def begin(self, identity: Mapping[str, Any], zarr_format: Literal[2, 3]) -> None:
        """Go on with what is there if it was to become the same maps, else begin anew.

        Args:
            identity: What decides the cells of the maps, anything JSON can hold.
            zarr_format: Version of the Zarr format.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        text = json.dumps(
            [identity, self.names, self.time_slots, zarr_format], sort_keys=True, default=str
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        marker = self.folder / "identity"
        if marker.exists() and marker.read_text(encoding="utf-8") == digest:
            return
        with output_errors(self.target):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            create_group(self.path, self.names, self.grid, self.time_slots, zarr_format)
        # Last: a folder with its identity is whole.
        with replacing_file(marker) as partial:
            partial.write_text(digest, encoding="utf-8")

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

    def missing_regions(self) -> list[MapRegion]:
        """Return the regions that are not marked as done."""
        return [r for r in map_regions(self.grid) if not self._region_marker(r).exists()]

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

    def finish(self, layers: Sequence[ConceptLayer], attributes: Mapping[str, Any]) -> None:
        """Describe the maps and put them in their place.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        with output_errors(self.target):
            describe_group(self.path, layers, self.grid, attributes)
            swap_folder(self.path, self.target)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _region_marker(self, region: MapRegion) -> Path:
        return self.folder / "regions" / region.key

    def _layer_marker(self, name: str) -> Path:
        return self.folder / "layers" / f"{name}.json"

    def _carry(self, cells: StoredCells, index: int) -> None:
        source, target = cells.path / cells.variable, self.path / cells.variable
        if _raw_layout(source) == _raw_layout(target):
            _link_chunks(source, target, cells.concept, index)
            return
        array = variable(self.path, cells.variable)
        for region in map_regions(self.grid):
            array[index, :, region.y, region.x] = cells[:, region.y, region.x]


def same_cells(path: Path, grid: MapGrid, time_slots: Sequence[str]) -> bool:
    """Return whether finished maps have this grid and these time slots."""
    there, slots, _ = read_maps_grid(path)
    return there.geobox == grid.geobox and slots == list(time_slots)


def _raw_layout(array: Path) -> Any:
    """Return what decides how a chunk looks on disk, apart from the number of concepts."""
    for name in ("zarr.json", ".zarray"):
        if (array / name).exists():
            content = json.loads((array / name).read_text(encoding="utf-8"))
            return {
                key: value[1:] if key == "shape" else value
                for key, value in content.items()
                if key not in ("attributes", "consolidated_metadata")
            }
    raise FileNotFoundError(array / "zarr.json")


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
