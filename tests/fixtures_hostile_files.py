"""Hostile rasters and recordings: real files whose numbers no instrument would give."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import rasterio
import soundfile
from affine import Affine
from hypothesis import reject
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

BYTES = [
    bytes(8),
    b"\xff" * 8,
    struct.pack("<d", float("nan")),
    struct.pack("<d", float("inf")),
    struct.pack("<d", 1e300),
    struct.pack("<d", 0.0),
    struct.pack("<I", 2**31),
    struct.pack("<H", 0),
    struct.pack("<H", 65535),
    struct.pack("<f", 1e30),
    b"RIFF",
    b"II*\0",
    b"II+\0",
    b"fLaC",
    b"OggS",
    b"<?xml",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xfb\x90\x00" * 3,
]
_NUMBERS = st.one_of(
    st.sampled_from(
        [
            0.0,
            -0.0,
            1.0,
            30.0,
            -30.0,
            3000.0,
            0.3,
            1e-12,
            1e-300,
            1e9,
            1e300,
            float("nan"),
            float("inf"),
            float("-inf"),
        ]
    ),
    st.floats(-1e6, 1e6),
)
_CRS = [
    "EPSG:32721",
    "EPSG:32721",
    "EPSG:4326",
    "EPSG:3857",
    "EPSG:4978",
    "EPSG:5773",
    "EPSG:2263",
    "EPSG:3413",
    "EPSG:6933",
    'LOCAL_CS["site",UNIT["metre",1]]',
    "+proj=geos +h=35785831 +lon_0=0 +sweep=y +units=m",
    "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=30 +lon_0=0",
    "EPSG:7415",
    "+proj=ortho +lat_0=90",
    None,
]
_DTYPES = ["uint8", "uint8", "uint8", "uint16", "int16", "float32", "float64", "complex64", "int8"]


@dataclass(frozen=True)
class RasterSpec:
    """What a GeoTIFF says of itself.

    Attributes:
        shape: Rows and columns.
        bands: Their number.
        dtype: Of the pixels.
        transform: The six numbers of the geotransform.
        crs: Anything rasterio takes for one.
        nodata: Value of missing pixels.
        colours: Of the last band.
        sparse: Whether no pixel is written.
    """

    shape: tuple[int, int]
    bands: int
    dtype: str
    transform: tuple[float, ...]
    crs: str | None
    nodata: float | None
    colours: ColorInterp | None
    sparse: bool


def _placed(pixel: float, west: float, north: float) -> tuple[float, ...]:
    return pixel, 0.0, west, 0.0, -pixel, north


_SOUND_PLACES = st.sampled_from(
    [
        _placed(30.0, 600_000.0, 7_200_000.0),
        _placed(0.0003, -56.0, -25.3),
        _placed(0.01, 179.9, 0.1),
        _placed(1.0, -180.0, 90.0),
        (20.0, 20.0, 600_000.0, 20.0, -20.0, 7_200_000.0),
        (30.0, 0.0, 600_000.0, 0.0, 30.0, 7_200_000.0),
        (3.0, 0.0, 600_000.0, 0.0, -300.0, 7_200_000.0),
    ]
)
RASTERS = st.builds(
    RasterSpec,
    shape=st.sampled_from([(32, 32), (32, 32), (1, 1), (1, 40), (40, 1), (60_000, 60_000)]),
    bands=st.sampled_from([3, 3, 3, 1, 2, 4, 7]),
    dtype=st.sampled_from(_DTYPES),
    transform=st.one_of(_SOUND_PLACES, _SOUND_PLACES, st.tuples(*[_NUMBERS] * 6)),
    crs=st.sampled_from(_CRS),
    nodata=st.sampled_from([None, None, 0.0, 255.0, -1.0]),
    colours=st.sampled_from([None, None, ColorInterp.alpha, ColorInterp.palette]),
    sparse=st.booleans(),
)


def write_hostile_raster(path: Path, spec: RasterSpec) -> None:
    """Write a GeoTIFF; one that GDAL does not write is not an example."""
    rows, cols = spec.shape
    large = rows * cols > 10**6
    profile = {
        "driver": "GTiff",
        "height": rows,
        "width": cols,
        "count": spec.bands,
        "dtype": spec.dtype,
        "nodata": spec.nodata,
        "sparse_ok": True,
        "tiled": large,
        "compress": "deflate",
        **({"blockxsize": 4096, "blockysize": 4096} if large else {}),
    }
    path.unlink(missing_ok=True)
    try:
        if spec.crs is not None:
            profile["crs"] = CRS.from_user_input(spec.crs)
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.transform = Affine(*spec.transform)
            if spec.colours is not None:
                dataset.colorinterp = [*dataset.colorinterp[:-1], spec.colours]
            if not (spec.sparse or large):
                values = np.arange(spec.bands * rows * cols).reshape(spec.bands, rows, cols)
                dataset.write((values % 120).astype(spec.dtype))
    except (rasterio.errors.RasterioError, ValueError, OverflowError, TypeError):
        reject()


@dataclass(frozen=True)
class SoundSpec:
    """What a recording is.

    Attributes:
        kind: Format and subtype of libsndfile.
        rate: Samples a second.
        channels: Their number.
        samples: Their number.
        peak: Largest sample.
    """

    kind: tuple[str, str]
    rate: int
    channels: int
    samples: int
    peak: float


SOUNDS = st.builds(
    SoundSpec,
    kind=st.sampled_from(
        [
            ("WAV", "PCM_16"),
            ("WAV", "FLOAT"),
            ("WAV", "DOUBLE"),
            ("FLAC", "PCM_16"),
            ("OGG", "VORBIS"),
            ("AIFF", "PCM_16"),
            ("AU", "FLOAT"),
            ("WAV", "PCM_U8"),
        ]
    ),
    rate=st.sampled_from([8000, 8000, 8000, 4000, 1, 48_000, 2**31 - 1]),
    channels=st.sampled_from([1, 1, 2, 7]),
    samples=st.sampled_from([0, 1, 100, 1600, 1600, 1600]),
    peak=st.sampled_from(
        [0.5, 0.5, 0.0, 1e-9, 1.0, 300.0, 32_768.0, 1e6, 1e30, 1e300, float("inf"), float("nan")]
    ),
)


def write_hostile_sound(spec: SoundSpec) -> bytes:
    """Return the bytes of a recording; one that libsndfile does not write is not an example."""
    if spec.kind[0] == "OGG" and spec.rate > 48_000:
        reject()  # Its encoder ends the process.
    wave = np.sin(np.arange(spec.samples * spec.channels) / 5.0).reshape(-1, spec.channels)
    made = BytesIO()
    with np.errstate(all="ignore"):
        values = wave * spec.peak
        if spec.kind[1] not in ("FLOAT", "DOUBLE"):
            # Its encoders end the process over what is not finite.
            values = wave * float(np.clip(np.nan_to_num(spec.peak), 0.0, 1.0))
        try:
            soundfile.write(made, values, spec.rate, format=spec.kind[0], subtype=spec.kind[1])
        except (soundfile.SoundFileError, AssertionError, ValueError):
            reject()
    return made.getvalue()
