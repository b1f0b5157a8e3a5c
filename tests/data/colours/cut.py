"""Cut the test images: ``python cut.py LANDSAT8_L1_NUMBERS.tif SFBAY_FALSE_COLOUR.tif``."""

from __future__ import annotations

import sys
from pathlib import Path

import rasterio
from rasterio.windows import Window

HERE = Path(__file__).parent

for source, name, window in (
    (sys.argv[1], "landsat8_l1.tif", Window(0, 176, 448, 384)),
    (sys.argv[2], "false_colour.tif", Window(0, 100, 280, 280)),
):
    with rasterio.open(source) as image:
        profile = image.profile | {
            "width": window.width,
            "height": window.height,
            "transform": image.window_transform(window),
            "compress": "deflate",
            "predictor": 2,
            "zlevel": 9,
            "tiled": True,
            "blockxsize": 256,
            "blockysize": 256,
        }
        with rasterio.open(HERE / name, "w", **profile) as target:
            target.write(image.read(window=window))
