from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from fixtures_servers import serve_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from s2s_map.config.catalog import RasterEntry
from s2s_map.imagery.collars import _measure, collar_share, run_share
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.imagery.sources.raster.source import RasterSource

SHAPE = (48, 96)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 96), st.integers(0, 96), st.booleans()), min_size=48, max_size=48
    ),
    st.sampled_from([None, 16, 32]),
)
def test_ends_of_rows_say_what_whole_rows_do(
    rows: list[tuple[int, int, bool]], tile: int | None
) -> None:
    values = np.full((3, *SHAPE), 9, np.uint8)
    for i, (left, right, gap) in enumerate(rows):
        values[:, i, :left] = 0
        values[:, i, SHAPE[1] - right :] = 0
        values[1, i, 40] = 0 if gap else values[1, i, 40]
    tiles = {} if tile is None else {"tiled": True, "blockxsize": tile, "blockysize": tile}
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", width=96, height=48, count=3, dtype="uint8", **tiles
        ) as image:
            image.write(values)
        with file.open() as image:
            share = run_share(~values.any(axis=0))
            for piece in (image.block_shapes[0][1], 7, 96):
                assert _measure(image, (1, 2, 3), piece) == share


def test_of_a_tiled_file_on_a_server_its_ends_are_read(tmp_path: Path) -> None:
    side, tile = 4096, 256
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32621",
        "transform": rasterio.Affine(10.0, 0, 500_000.0, 0, -10.0, 7_200_000.0),
        "tiled": True, "blockxsize": tile, "blockysize": tile,
    }  # fmt: skip
    noise = np.random.default_rng(0).integers(1, 255, (3, side, side), np.uint8)
    with rasterio.open(tmp_path / "large.tif", "w", **profile) as image:
        image.write(noise)
    with serve_folder(tmp_path) as server:
        entry = RasterEntry.model_validate(
            {
                "type": "raster",
                "title": "t",
                "sensor": "landsat",
                "uri": f"{server.url}/large.tif",
                "bands": [1, 2, 3],
                "attribution": "a",
                "licence": "b",
            }
        )
        source = open_source(entry)
        assert isinstance(source, RasterSource)
        before = server.sent
        assert collar_share(source.scenes[0], entry) == 0.0
        # Of 16 by 16 tiles two columns, and what GDAL's ranges hold beside them.
        assert server.sent - before <= side * side * 3 // 4
