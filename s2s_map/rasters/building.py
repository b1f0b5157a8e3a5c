"""A ``maps.zarr`` while it is built, region by region, going on if killed; see `maps_place`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from s2s_map.outputs.atomic import output_errors, replacing_file
from s2s_map.outputs.durable import check_still_there
from s2s_map.outputs.maps_place import (
    IDENTITY,
    begun,
    local_group,
    markers_of,
    place_of,
    put_in_place,
    take_chunks,
    take_over,
)
from s2s_map.outputs.path import ObjectPath, OutputPath
from s2s_map.rasters.cells import StoredCells
from s2s_map.rasters.maps import MapRegion, map_regions, read_maps_grid
from s2s_map.rasters.maps_schema import create_group, describe_group, variable
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.scoring.summary import LayerSummary
from s2s_map.tiling.grid import MapGrid


@dataclass(frozen=True)
class MapsBuilding:
    """Maps that are being written, with a marker for each part that is done.

    It holds paths only and pickles, so that tasks elsewhere can write regions and mark them.

    Attributes:
        target: Where the maps will lie, usually ``maps.zarr``.
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
        return markers_of(self.target)

    @property
    def path(self) -> OutputPath:
        """The group meanwhile."""
        return place_of(self.target)

    def begin(
        self,
        identity: Mapping[str, Any],
        zarr_format: Literal[2, 3],
        unfinished: Sequence[ObjectPath] = (),
    ) -> bool:
        """Go on with what is there if it was to become the same maps, else begin from scratch.

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
        marker = self.folder / IDENTITY
        if marker.exists() and marker.read_text(encoding="utf-8") == digest:
            return True
        for place in unfinished:
            left = markers_of(place / self.target.name) / marker.name
            if left.exists() and left.read_text(encoding="utf-8") == digest:
                with output_errors(self.target):
                    take_over(place, self.target)
                return True
        with output_errors(self.target), begun(self.target) as made:
            create_group(made, self.names, self.grid, self.time_slots, zarr_format)
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

    def check_there(self) -> None:
        """Check that the folder is where it was: what writes a part would make it again.

        Raises:
            OutputError: If it was renamed or removed; in an object store nothing can be.
        """
        check_still_there(self.folder / IDENTITY, self.target.parent)

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
        index, shape = self.names.index(layer.name), (len(self.time_slots), *self.grid.shape)
        with local_group(self.path, index) as group:
            yield replace(
                layer,
                probability=StoredCells(group, "probability", index, shape),
                similarity=StoredCells(group, "similarity", index, shape),
            )

    def finish(self, layers: Sequence[ConceptLayer], attributes: Mapping[str, Any]) -> None:
        """Describe the maps and put them in their place.

        In an object store they are there already, and the markers stay until the run is published.

        Raises:
            OutputError: For a full disk, a read-only folder and the like.
        """
        with output_errors(self.target):
            describe_group(self.path, layers, self.grid, attributes)
            put_in_place(self.target)

    def _region_marker(self, region: MapRegion) -> OutputPath:
        return self.folder / "regions" / region.key

    def _layer_marker(self, name: str) -> OutputPath:
        return self.folder / "layers" / f"{name}.json"

    def _carry(self, cells: StoredCells, index: int) -> None:
        source, target = cells.path / cells.variable, self.path / cells.variable
        if _raw_layout(source) == _raw_layout(target):
            take_chunks(source, target, cells.concept, index)
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
