"""One located sound: imagery, spectrograms, captions, place and time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.hyper_parameters import SOURCE_PX, SatelliteKind
from s2s_map.datasets import schema as names
from s2s_map.datasets.dates import month_and_hour
from s2s_map.datasets.schema import Schema, Wanted
from s2s_map.encoding.exact import centre_crop, resize_patches
from s2s_map.errors import DataError
from s2s_map.models.metadata import AUDIO_SOURCES, CAPTION_SOURCES

HOURLESS_PLATFORM = "freesound"
"""Its hours are those of the upload; as published they are never trusted."""


@dataclass(frozen=True, eq=False)
class SoundSample:
    """A row of a data set. What was not wanted, or is not known, is absent or None.

    Attributes:
        key: Its name in the set.
        longitude: Degrees east.
        latitude: Degrees north.
        images: Red, green, blue (3, rows, columns) of each imagery, as wide as its largest zoom.
        mel: Log-mel spectrograms of crops of the recording (crops, frames, bins), dB.
        waveform: The recording, mono (n,), full scale 1.
        rate: Its samples a second.
        audio_caption: Caption of the recording.
        audio_caption_source: Who wrote it: meta, qwen or pengi.
        image_captions: Captions by imagery and zoom level; only those that say something.
        month: 1 to 12.
        hour: 0 to 23 on the local clock.
        audio_source: Platform it comes from, one of `models.metadata.AUDIO_SOURCES`.
    """

    key: str
    longitude: float
    latitude: float
    images: Mapping[SatelliteKind, NDArray[np.uint8]] = field(default_factory=dict)
    mel: NDArray[np.float32] | None = None
    waveform: NDArray[np.float32] | None = None
    rate: int | None = None
    audio_caption: str | None = None
    audio_caption_source: str | None = None
    image_captions: Mapping[tuple[SatelliteKind, int], str] = field(default_factory=dict)
    month: int | None = None
    hour: int | None = None
    audio_source: str | None = None

    def patch(
        self, satellite: SatelliteKind, zoom: int, side: int, tile_px: int | None = None
    ) -> NDArray[np.uint8]:
        """Cut the patch of a zoom level, as published: the middle, then bicubic, black outside.

        Args:
            satellite: Which imagery.
            zoom: Patch side in tiles.
            side: Side of the result, pixels.
            tile_px: Source pixels of a patch at zoom 1; None: as published.

        Returns:
            Red, green, blue (3, side, side).
        """
        tile = SOURCE_PX[satellite] if tile_px is None else tile_px
        whole = centre_crop(self.images[satellite], tile * zoom)
        return np.asarray(resize_patches(whole[None], side)[0])


@dataclass(frozen=True)
class SkippedRow:
    """A row that cannot be used.

    Attributes:
        key: Its name in the set.
        reason: Why, in one line.
    """

    key: str
    reason: str


class BrokenRowError(DataError):
    """A row whose parts cannot be read; whoever reads a whole set skips and lists it."""


def read_row(row: Mapping[str, Any], schema: Schema, wanted: Wanted) -> SoundSample:
    """Decode one row.

    Args:
        row: Values by column, media as bytes or {"bytes": ..., "path": ...}.
        schema: Says what the columns mean.
        wanted: What to decode.

    Raises:
        BrokenRowError: For imagery, a recording, spectrograms or a place that cannot be used.
    """
    latitude, longitude = _place(row)
    values: dict[str, Any] = {}
    if wanted.metadata:
        month, hour = month_and_hour(row.get(schema.date))
        platform = schema.platform if schema.audio_source is None else row[schema.audio_source]
        platform = platform if platform in AUDIO_SOURCES else None
        values |= {
            "month": month,
            "hour": None if platform == HOURLESS_PLATFORM else hour,
            "audio_source": platform,
        }
    if wanted.audio_caption:
        source = row[names.AUDIO_CAPTION_SOURCE]
        values["audio_caption"] = _text(row[names.AUDIO_CAPTION])
        values["audio_caption_source"] = source if source in CAPTION_SOURCES else None
    if wanted.mel:
        values["mel"] = read_mel(row[names.MEL])
    if wanted.audio:
        values["waveform"], values["rate"] = read_audio(row[names.AUDIO])
    captions = {key: _text(row[schema.captions[key]]) for key in wanted.captions}
    return SoundSample(
        key=str(row[names.KEY]),
        longitude=longitude,
        latitude=latitude,
        images={kind: read_image(row[schema.images[kind]]) for kind in wanted.images},
        image_captions={key: text for key, text in captions.items() if text is not None},
        **values,
    )


def read_image(value: Any) -> NDArray[np.uint8]:
    """Decode a picture as red, green, blue (3, rows, columns).

    Raises:
        BrokenRowError: If it cannot be decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(_bytes(value, "image"))) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise BrokenRowError(f"its image does not decode ({error})") from None
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def read_audio(value: Any) -> tuple[NDArray[np.float32], int]:
    """Decode a recording: mono samples and their rate.

    Raises:
        BrokenRowError: If it cannot be decoded, or nothing can be heard in it.
    """
    from s2s_map.encoding.audio_file import decode_recording
    from s2s_map.errors import AudioError

    try:
        recording = decode_recording(_bytes(value, "audio"), "its audio")
    except AudioError as error:
        raise BrokenRowError(error.found) from None
    return recording.waveform, recording.rate


def read_mel(value: Any) -> NDArray[np.float32]:
    """Decode a stack of spectrograms (crops, frames, bins).

    The published (crops, 1, frames, bins) and (crops, frames, bins) are the same here.

    Raises:
        BrokenRowError: For another shape, numbers that are not finite, or the zeros that stand
            for a missing recording in the published sets (digital silence is -100 dB).
    """
    try:
        stack = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise BrokenRowError("its spectrograms are not an array of numbers") from None
    if stack.ndim == 4 and stack.shape[1] == 1:
        stack = stack[:, 0]
    if stack.ndim != 3 or 0 in stack.shape:
        raise BrokenRowError(f"its spectrograms have the shape {stack.shape}")
    if not np.isfinite(stack).all():
        raise BrokenRowError("its spectrograms hold numbers that are not finite")
    if not stack.any():
        raise BrokenRowError("its spectrograms are all zero: the recording was missing")
    return stack


def _bytes(value: Any, what: str) -> bytes:
    content = value.get("bytes") if isinstance(value, Mapping) else value
    if not isinstance(content, bytes) or not content:
        raise BrokenRowError(f"its {what} is empty")
    return content


def _place(row: Mapping[str, Any]) -> tuple[float, float]:
    try:
        latitude, longitude = float(row[names.LATITUDE]), float(row[names.LONGITUDE])
    except (TypeError, ValueError):
        raise BrokenRowError("it has no place") from None
    if not (math.isfinite(latitude) and abs(latitude) <= 90 and abs(longitude) <= 360):
        raise BrokenRowError(f"its place {latitude}, {longitude} is not on Earth")
    return latitude, (longitude + 180) % 360 - 180


def _text(value: Any) -> str | None:
    text = value.strip() if isinstance(value, str) else ""
    return text or None
