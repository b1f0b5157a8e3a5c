"""Small maps to write, read and draw: smooth fields with a margin of no data."""

from __future__ import annotations

import re
import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2s_map.arrays import ImageBlock
from s2s_map.rasters.provenance import Credit, Provenance
from s2s_map.scoring.layers import ConceptLayer
from s2s_map.tiling.grid import MapGrid

CRS = "EPSG:32621"
TITLES = (
    "birdsong",
    "traffic and car horns in a busy street",
    "waves lapping on a lake shore",
    "owl (recording)",
)


def make_grid(
    shape: tuple[int, int] = (90, 70),
    cell_m: int = 180,
    block_cells: int = 32,
    crs: str = CRS,
) -> MapGrid:
    """Return a grid of this shape in the south of the zone's northern half."""
    west, south = 720_000 // cell_m * cell_m, 2_780_000 // cell_m * cell_m
    bounds = (west, south, west + shape[1] * cell_m, south + shape[0] * cell_m)
    return MapGrid.from_bounds(bounds, crs, cell_m, block_cells)


def make_valid(grid: MapGrid) -> NDArray[np.bool_]:
    """Return cells with data: all but a slanted margin in the west."""
    rows, cols = np.indices(grid.shape)
    return np.asarray(cols >= 5 + rows * 10 // grid.shape[0])


def make_layers(grid: MapGrid, count: int = 2, slots: int = 1) -> list[ConceptLayer]:
    """Return layers that differ from each other, in place and in range."""
    rows, cols = np.indices(grid.shape)
    valid = make_valid(grid)
    layers = []
    for index in range(count):
        field = np.stack(
            [
                np.sin(cols / (9 + index) + slot) * np.cos(rows / (7 + 2 * index))
                for slot in range(slots)
            ]
        )
        similarity = np.where(valid, 0.2 + 0.1 * field, np.nan).astype(np.float32)
        probability = (1 / (1 + np.exp(-6 * field)) / (1 + index)).astype(np.float32)
        title = TITLES[index % len(TITLES)]
        layers.append(
            ConceptLayer(
                name=f"concept-{index}",
                title=title,
                query={
                    "text": title,
                    "temperature": 0.05,
                    "background": {"sha256": "00ff"},
                },
                probability=np.where(valid, probability, np.float32(np.nan)),
                similarity=similarity,
            )
        )
    return layers


def make_imagery(grid: MapGrid) -> ImageBlock:
    """Return imagery on the cells, with the same margin."""
    rows, cols = np.indices(grid.shape)
    wave = partial(np.multiply, 60.0)
    bands = [
        90 + wave(np.sin(cols / 8)),
        110 + wave(np.cos(rows / 9)),
        80 + wave(np.sin(rows / 5)),
    ]
    return ImageBlock(np.rint(np.stack(bands)).astype(np.uint8), make_valid(grid))


def make_provenance(**changes: object) -> Provenance:
    """Return a complete provenance; `changes` replace fields."""
    fields: dict[str, object] = {
        "run": "demo",
        "created": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "imagery": Credit(
            name="iguacu",
            title="Landsat 8",
            licence="public domain",
            attribution="courtesy of the U.S. Geological Survey",
            licence_url="https://example.org/public-domain",
            provider="USGS",
        ),
        "model": Credit("s2s-mini", "s2s-mini 1", "Apache-2.0", "the s2s_map authors"),
        "model_sha256": "0123456789abcdef" * 4,
        "imagery_time": (
            datetime(2020, 5, 18, tzinfo=UTC),
            datetime(2020, 5, 19, tzinfo=UTC),
        ),
        "config": {"region": [1.0, 2.0, 3.0, 4.0]},
        "software": {"s2s-map": "0.1.0", "gdal": "3.12.2"},
    }
    return Provenance(**{**fields, **changes})  # type: ignore[arg-type]


def known_points(grid: MapGrid, cells: Sequence[tuple[int, int]]) -> list[list[float]]:
    """Return the centres of cells (row, column) as x and y in metres."""
    return [[float(grid.x[col]), float(grid.y[row])] for row, col in cells]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let writes beyond `size` bytes fail as they do on a full disk (EFBIG for ENOSPC)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def read_range(style: Path) -> tuple[float, float]:
    """Return the values that the ramp of a QGIS style runs between."""
    text = style.read_text(encoding="utf-8")
    low, high = (
        re.search(f'<colorrampshader [^>]*{name}Value="([^"]+)"', text)
        for name in ("minimum", "maximum")
    )
    assert low
    assert high
    return float(low[1]), float(high[1])
