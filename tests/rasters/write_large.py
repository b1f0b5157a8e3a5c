"""Write a GeoTIFF of one large layer region by region and print the peak memory in MB.

python tests/rasters/write_large.py FOLDER SIDE
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np

from s2s_map.rasters.building import MapsBuilding
from s2s_map.rasters.cog import write_cog
from s2s_map.rasters.maps import map_regions
from s2s_map.rasters.maps_schema import variable
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid


def main(folder: Path, side: int) -> None:
    bounds = (0.0, 0.0, side * 100.0, side * 100.0)
    grid = MapGrid.from_bounds(bounds, "EPSG:6933", 100, 128)
    building = MapsBuilding(folder / "maps.zarr", ("waves",), grid, ("any",))
    building.begin({}, 3)
    arrays = [variable(building.path, name) for name in ("probability", "similarity")]
    for region in map_regions(grid):
        rows, columns = np.ogrid[region.y, region.x]
        field = (np.sin(columns / 97) * np.cos(rows / 71)).astype(np.float32)
        field[(columns + rows) % 1000 < 100] = np.nan
        for array in arrays:
            array[0, 0, region.y, region.x] = field
        building.region_done(region)
    cells = [building.cells("waves", name) for name in ("probability", "similarity")]
    layer = ConceptLayer("waves", "waves", {}, *cells)
    write_cog(folder / "waves.tif", layer, grid, {})
    building.finish([layer], {})
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
