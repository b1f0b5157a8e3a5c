"""A finished run as it is looked at: its layers, its cells, and where in them a place is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from s2s_map.outputs import names
from s2s_map.outputs.file_state import file_state
from s2s_map.outputs.names import layer_stem
from s2s_map.outputs.output import open_output
from s2s_map.outputs.path import OutputPath
from s2s_map.pipeline.job.run_record import RunRecord, heading
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.rasters.maps import ConceptLayer, read_maps, read_maps_grid
from s2s_map.server.tile_grid import transformer
from s2s_map.tiling.grid import MapGrid

_STATE = (names.RECORD, names.MANIFEST, names.SWITCH, "latest.json")


@dataclass(frozen=True, eq=False)
class ViewedRun:
    """One finished run.

    Attributes:
        folder: Its output.
        results: Where its results lie.
        record: What they were made from.
        layers: Its layers by name, in order.
        grid: Its cells.
        time_slots: Labels of its time slots.
    """

    folder: OutputPath
    results: OutputPath
    record: RunRecord
    layers: Mapping[str, ConceptLayer]
    grid: MapGrid
    time_slots: tuple[str, ...]

    @classmethod
    def open(cls, folder: OutputPath) -> ViewedRun:
        """Open the results of a run.

        Raises:
            StoreError: If there is no finished run, or it is damaged.
        """
        found = open_run(folder)
        maps = found.results / names.MAPS
        grid, slots, _ = read_maps_grid(maps)
        layers = {layer.name: layer for layer in read_maps(maps)}
        return cls(found.folder, found.results, found.record, layers, grid, tuple(slots))

    @property
    def title(self) -> str:
        """What the run is called."""
        return heading(self.record.config)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees."""
        west, south, east, north = self.grid.bounds
        box = transformer("EPSG:4326", str(self.grid.crs)).transform_bounds(
            west, south, east, north, densify_pts=51
        )
        left, bottom, right, top = (float(edge) for edge in box)
        # Across the 180th meridian the east lies in the next turn.
        return left, bottom, right + 360 if right < left else right, top

    def cell_at(self, lon: float, lat: float) -> tuple[int, int] | None:
        """Return row and column of the cell at a place; None outside.

        Args:
            lon: Degrees east.
            lat: Degrees north.
        """
        x, y = transformer(str(self.grid.crs), "EPSG:4326").transform(lon, lat)
        west, south, east, north = self.grid.bounds
        if not (west <= x < east and south < y <= north):
            return None
        return int((north - y) // self.grid.cell_m), int((x - west) // self.grid.cell_m)

    def centre_of(self, row: int, column: int) -> tuple[float, float]:
        """Return longitude and latitude of a cell's centre."""
        back = transformer("EPSG:4326", str(self.grid.crs))
        lon, lat = back.transform(self.grid.x[column], self.grid.y[row])
        return float(lon), float(lat)

    def geotiff(self, layer: str, slot: int) -> OutputPath:
        """Return the GeoTIFF of a layer and time slot."""
        stem = layer_stem(layer, self.time_slots[slot], len(self.time_slots))
        return self.results / f"{stem}.tif"

    def values_at(self, layer: str, cell: tuple[int, int]) -> NDArray[np.float32]:
        """Return the values of a layer at a cell, one per time slot; NaN for no data."""
        row, column = cell
        cells = self.layers[layer].probability[:, row : row + 1, column : column + 1]
        return np.asarray(cells)[:, 0, 0]

    def fingerprint(self) -> str:
        """Return what changes as soon as other results lie in the folder."""
        return fingerprint(self.folder)

    def is_written(self) -> bool:
        """Return whether a run seems to be at work in the folder."""
        return open_output(self.folder).is_held()


def fingerprint(folder: OutputPath) -> str:
    """Return what changes as soon as other results lie in an output; nothing large is read."""
    said = []
    for name in _STATE:
        with suppress(FileNotFoundError):
            said.append((name, file_state(folder / name)))
    return hashlib.sha256(repr(said).encode()).hexdigest()[:12]
