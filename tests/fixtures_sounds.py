"""Small data sets in the schema of GeoSound and SoundingEarth, from real pictures and sounds.

Imagery is cut from the demo scene, recordings are those of tests/data/sounds and the package's owl;
run as ``python tests/fixtures_sounds.py FOLDER`` to look at one.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import soxr
from fixtures_models import TINY_HTSAT
from rasterio.warp import transform
from rasterio.windows import Window

from s2s_map.config.model import HtsatConfig
from s2s_map.datasets.schema import GEOSOUND, SOUNDING_EARTH, Schema
from s2s_map.datasets.writing import write_parquet
from s2s_map.encoding.audio_file import read_recording
from s2s_map.models.audio.mel import log_mel, mel_filters

PACKAGE = Path(__file__).parents[1] / "s2s_map" / "sample_data"
SCENE = PACKAGE / "iguacu_landsat8_rgb.tif"
SOUNDS = [
    PACKAGE / "sounds" / "owl.mp3",
    *sorted((Path(__file__).parent / "data" / "sounds").glob("*.mp3")),
]
CAPTIONS = {
    "owl": "an owl calling in the forest at night",
    "cow": "cows mooing on a pasture",
    "dog": "a dog barking in a yard",
    "duck": "ducks quacking on a lake",
    "frog": "frogs croaking at a pond",
    "rooster": "a rooster crowing on a farm",
}
PLATFORMS = ("yfcc", "iNat", "aporee", "freesound")
WRITERS = ("meta", "qwen", "pengi")
DATES = ("2014-07-02 18:30:00", "March 2011", "some day", "2016:05:21 06:10:00", "", "12/31/2012")

TILE_PX = 16
"""Source pixels of a patch at zoom 1 in these sets: a picture is 5 of them wide."""


def mel_stack(path: Path, audio: HtsatConfig, crops: int = 5, shift: int = 0) -> np.ndarray:
    """Spectrograms (crops, 1, frames, bins) of evenly spread crops of a recording."""
    recording = read_recording(path)
    waveform = soxr.resample(recording.waveform, recording.rate, audio.rate)
    size = round(audio.rate * audio.window_s)
    filters = mel_filters(audio.rate, audio.fft_size, audio.mel_bins, audio.mel_range_hz)
    starts = np.linspace(0, max(0, len(waveform) - size), crops + 1).astype(int)[:crops]
    stack = []
    for start in starts:
        window = np.zeros(size, np.float32)
        part = waveform[start + 97 * shift :][:size]
        window[: len(part)] = part
        stack.append(log_mel(window, filters, audio.hop)[None])
    return np.stack(stack)


def jpeg(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    from PIL import Image

    content = BytesIO()
    Image.fromarray(np.moveaxis(pixels, 0, -1)).save(content, kind)
    return content.getvalue()


def sound_rows(
    count: int,
    schema: Schema = GEOSOUND,
    audio: HtsatConfig = TINY_HTSAT,
    image_px: int = 5 * TILE_PX,
    first: int = 0,
) -> list[dict[str, Any]]:
    """Rows of a set: row i has sound i % 6, and its own place of the demo scene."""
    rows = []
    with rasterio.open(SCENE) as scene:
        for i in range(first, first + count):
            sound = SOUNDS[i % len(SOUNDS)]
            row, column = 150 + 211 * i % 1500, 200 + 337 * i % 1400
            window = Window(column, row, image_px, image_px)
            x, y = scene.xy(row + image_px // 2, column + image_px // 2)
            (longitude,), (latitude,) = transform(scene.crs, "EPSG:4326", [x], [y])
            picture = {"bytes": jpeg(scene.read(window=window)), "path": None}
            caption = CAPTIONS[sound.stem]
            values: dict[str, Any] = {
                "sample_id": f"{PLATFORMS[i % 4]}-{i}",
                "audio": {"bytes": sound.read_bytes(), "path": sound.name},
                "audio_caption": f"{caption}, take {i}",
                "audio_caption_source": WRITERS[i % 3],
                "mel_features": mel_stack(sound, audio, shift=i),
                "latitude": latitude,
                "longitude": longitude,
                schema.date: DATES[i % len(DATES)],
            }
            values |= dict.fromkeys(schema.images.values(), picture)
            for (_, zoom), name in schema.captions.items():
                values[name] = f"{caption}, seen at zoom {zoom} as picture {i}"
            if schema.audio_source:
                values[schema.audio_source] = PLATFORMS[i % 4]
            else:
                values["short_id"] = str(i)
            rows.append(values)
    return rows


def write_sound_set(
    folder: Path,
    schema: Schema = GEOSOUND,
    *,
    train: int = 12,
    val: int = 6,
    test: int = 6,
    audio: HtsatConfig = TINY_HTSAT,
    image_px: int = 5 * TILE_PX,
) -> Path:
    """Write a set of three splits, laid out as on the hub; no two rows are the same."""
    first = 0
    for split, count in (("train", train), ("val", val), ("test", test)):
        if count:
            rows = sound_rows(count, schema, audio, image_px, first)
            write_parquet(folder / "data" / f"{split}-00000-of-00001.parquet", rows, schema)
        first += count
    return folder


if __name__ == "__main__":
    for one in (GEOSOUND, SOUNDING_EARTH):
        print(write_sound_set(Path(sys.argv[1]) / one.name, one))
