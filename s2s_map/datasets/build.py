"""From a table of your own recordings and a source of imagery to a data set."""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.atomic import write_json
from s2s_map.config.hyper_parameters import SOURCE_PX, SatelliteKind
from s2s_map.config.model import HtsatConfig
from s2s_map.datasets import schema as names
from s2s_map.datasets.sample import SkippedRow
from s2s_map.datasets.schema import SCHEMAS, SPLITS, Schema, Split
from s2s_map.datasets.splits import spatial_split, too_near
from s2s_map.datasets.table import TableRow
from s2s_map.datasets.writing import write_parquet
from s2s_map.encoding.audio_file import Recording, read_recording
from s2s_map.errors import DataError, OutputMismatchError, S2SMapError
from s2s_map.imagery.source import Source
from s2s_map.models.audio.mel import log_mel, mel_filters

log = logging.getLogger(__name__)

FILE_ROWS = 128
"""Rows of a file: what an interruption costs at most."""

BUILD_FILE = "build.json"
SKIPPED_FILE = "skipped.json"
LEAST_SEEN = 0.5
"""A row is left out when less of its picture was observed."""

JPEG_QUALITY = 95
UTM_LATITUDES = (-80.0, 84.0)


@dataclass(frozen=True)
class BuildSettings:
    """How a data set is made.

    Attributes:
        satellite: What the imagery is called in the set, which decides its column.
        zooms: Zoom levels that must fit into a picture.
        tile_px: Imagery pixels of a patch at zoom 1; None: as published for that imagery.
        crops: Spectrograms of each recording.
        shares: Of blocks for train, val and test.
        block_km: Side of the blocks that belong to one split, kilometres.
        gap_km: Training rows nearer than this to a held-out one are left out, kilometres.
        seed: Of crops and splits.
    """

    satellite: SatelliteKind = "sentinel"
    zooms: tuple[int, ...] = names.ZOOMS
    tile_px: int | None = None
    crops: int = 5
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    block_km: float = 10.0
    gap_km: float = 0.0
    seed: int = 0

    @property
    def side_px(self) -> int:
        """Side of a picture, pixels."""
        return (self.tile_px or SOURCE_PX[self.satellite]) * max(self.zooms)

    @property
    def schema(self) -> Schema:
        """The schema that has such imagery."""
        return next(schema for schema in SCHEMAS if self.satellite in schema.images)


@dataclass(frozen=True)
class Built:
    """What was made.

    Attributes:
        rows: Rows of each split.
        skipped: Rows that could not be used.
    """

    rows: dict[Split, int]
    skipped: tuple[SkippedRow, ...]


def build_dataset(
    rows: Sequence[TableRow],
    source: Source,
    folder: Path,
    settings: BuildSettings | None = None,
    *,
    audio: HtsatConfig | None = None,
    threads: int = 4,
) -> Built:
    """Make a data set in the published schema; goes on where an earlier start stopped.

    Args:
        rows: The recordings.
        source: Their imagery.
        folder: Gets ``train-*.parquet``, ``val-*.parquet``, ``test-*.parquet``.
        settings: How; None: as GeoSound with Sentinel imagery.
        audio: Says how spectrograms are computed; None: as published.
        threads: Rows made at a time.

    Raises:
        DataError: If no row can be used.
        OutputMismatchError: If the folder holds a set of other rows or settings.
    """
    settings, audio = settings or BuildSettings(), audio or HtsatConfig()
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, rows, source, settings, audio)
    longitude, latitude = [r.longitude for r in rows], [r.latitude for r in rows]
    splits = spatial_split(
        longitude,
        latitude,
        shares=settings.shares,
        block_km=settings.block_km,
        seed=settings.seed,
    )
    near = too_near(longitude, latitude, splits, settings.gap_km)
    skipped = [
        SkippedRow(row.key, f"within {settings.gap_km:g} km of a held-out place")
        for row, drop in zip(rows, near, strict=True)
        if drop
    ]
    counts: dict[Split, int] = {}
    with ThreadPoolExecutor(threads) as pool:
        for split in SPLITS:
            chosen = [
                row
                for row, name, drop in zip(rows, splits, near, strict=True)
                if name == split and not drop
            ]
            left_out: list[SkippedRow] = []
            for number, start in enumerate(range(0, len(chosen), FILE_ROWS)):
                left_out += _write_file(
                    folder / f"{split}-{number:05d}.parquet",
                    chosen[start : start + FILE_ROWS],
                    lambda row: _make(row, source, settings, audio),
                    settings.schema,
                    pool,
                )
            counts[split] = len(chosen) - len(left_out)
            skipped += left_out
    write_json(folder / SKIPPED_FILE, [asdict(row) for row in skipped])
    if not any(counts.values()):
        raise DataError(
            f"none of {len(rows)} rows can be used: {skipped[0].key}: {skipped[0].reason}",
            remedy=f"see {folder / SKIPPED_FILE}",
        )
    return Built(counts, tuple(skipped))


def mel_stack(
    recording: Recording, audio: HtsatConfig, crops: int, random: np.random.Generator
) -> NDArray[np.float32]:
    """Log-mel spectrograms (crops, 1, frames, bins) of random crops, as published.

    A recording shorter than a window is filled with zeros at its end; all crops are then the same.
    """
    import soxr

    filters = mel_filters(audio.rate, audio.fft_size, audio.mel_bins, audio.mel_range_hz)
    size, length = round(audio.rate * audio.window_s), round(recording.rate * audio.window_s)
    stack = []
    for _ in range(crops):
        start = int(random.integers(max(0, len(recording.waveform) - length) + 1))
        part = soxr.resample(
            recording.waveform[start : start + length], recording.rate, audio.rate
        )[:size]
        window = np.zeros(size, dtype=np.float32)
        window[: len(part)] = part
        stack.append(log_mel(window, filters, audio.hop)[None])
    return np.stack(stack)


def picture(source: Source, longitude: float, latitude: float, side_px: int) -> NDArray[np.uint8]:
    """Read the picture (3, side_px, side_px) around a place, in its UTM zone, black outside.

    Raises:
        DataError: Near the poles, or where too little was observed.
        ImageryError: If it cannot be read.
    """
    import shapely
    from odc.geo.crs import CRS

    from s2s_map.regions.projections import LONLAT, project

    if not UTM_LATITUDES[0] <= latitude <= UTM_LATITUDES[1]:
        raise DataError(f"latitude {latitude:.2f} is beyond the UTM zones")
    crs = CRS.utm(longitude, latitude)
    there = project(shapely.Point(longitude, latitude), LONLAT, crs).centroid
    pixel = source.entry.sensor.gsd_m
    half = pixel * side_px / 2
    # On whole pixels, as imagery in its own grid is then read as it is.
    x, y = round(there.x / pixel) * pixel, round(there.y / pixel) * pixel
    place = source.over((longitude, latitude, longitude, latitude))
    if place.needs_freezing:
        reach = half / 111_000 / max(0.1, float(np.cos(np.radians(latitude))))
        place = place.freeze(
            (longitude - reach, latitude - reach, longitude + reach, latitude + reach)
        )
        place.drop_search_parts()
    block = place.read((x - half, y - half, x + half, y + half), (side_px, side_px), crs)
    if block.valid_fraction < LEAST_SEEN:
        raise DataError(f"{block.valid_fraction:.0%} of its picture was observed")
    return block.pixels


def _make(
    row: TableRow, source: Source, settings: BuildSettings, audio: HtsatConfig
) -> dict[str, Any] | SkippedRow:
    try:
        recording = read_recording(row.audio)
        pixels = picture(source, row.longitude, row.latitude, settings.side_px)
    except S2SMapError as error:
        return SkippedRow(row.key, error.found)
    schema = settings.schema
    random = np.random.default_rng([settings.seed, zlib.crc32(row.key.encode())])
    values: dict[str, Any] = {
        names.KEY: row.key,
        names.AUDIO: {"bytes": row.audio.read_bytes(), "path": row.audio.name},
        schema.images[settings.satellite]: {"bytes": _jpeg(pixels), "path": None},
        names.AUDIO_CAPTION: row.caption,
        names.AUDIO_CAPTION_SOURCE: "meta" if row.caption else "",
        names.MEL: mel_stack(recording, audio, settings.crops, random),
        names.LATITUDE: row.latitude,
        names.LONGITUDE: row.longitude,
        schema.date: row.time,
    }
    if schema.audio_source is not None:
        values[schema.audio_source] = row.source
    for (kind, zoom), column in schema.captions.items():
        if kind == settings.satellite and zoom in settings.zooms:
            values[column] = ""
    return values


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    content = BytesIO()
    image = Image.fromarray(np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    image.save(content, "JPEG", quality=JPEG_QUALITY)
    return content.getvalue()


def _write_file(
    path: Path, rows: Sequence[TableRow], make: Any, schema: Schema, pool: ThreadPoolExecutor
) -> Iterable[SkippedRow]:
    """Write one file unless it is there; return the rows that were left out."""
    marker = path.with_name(f".{path.stem}.json")
    if marker.exists():
        return [SkippedRow(**row) for row in json.loads(marker.read_text(encoding="utf-8"))]
    made = list(pool.map(make, rows))
    good = [row for row in made if not isinstance(row, SkippedRow)]
    skipped = [row for row in made if isinstance(row, SkippedRow)]
    if good:
        write_parquet(path, good, schema)
    write_json(marker, [asdict(row) for row in skipped])
    log.info("%s: %d rows, %d left out", path.name, len(good), len(skipped))
    return skipped


def _claim(
    folder: Path,
    rows: Sequence[TableRow],
    source: Source,
    settings: BuildSettings,
    audio: HtsatConfig,
) -> None:
    table = "\n".join(str(row) for row in rows)
    identity = {
        "table": hashlib.sha256(table.encode()).hexdigest(),
        "source": source.entry.title,
        "gsd_m": source.entry.sensor.gsd_m,
        "settings": json.loads(json.dumps(asdict(settings))),
        "audio": audio.model_dump(mode="json"),
    }
    path = folder / BUILD_FILE
    if path.exists():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        differ = [key for key, value in identity.items() if theirs.get(key) != value]
        if differ:
            raise OutputMismatchError(
                f"{folder} holds a data set with another {', '.join(differ)}",
                remedy="choose another folder, or delete it",
            )
    write_json(path, identity)
