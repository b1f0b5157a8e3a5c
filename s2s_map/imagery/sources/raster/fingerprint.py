"""A cheap hash of what is in image files: of samples, so that a country's imagery takes seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from s2s_map.catalog.scene import Scene
from s2s_map.errors import ImageryError
from s2s_map.opening.open_files import open_raster
from s2s_map.opening.unchanged import local_files
from s2s_map.opening.uris import is_remote

PIECE_BYTES = 4096

# Of all local files of a mosaic together, then the fewest and the most of one: 1 MiB of a file.
_PIECES, _FEWEST, _MOST = 4096, 4, 256
# Tiles of remote files, likewise: each is a request.
_TILES, _MOST_TILES = 256, 4
# Formats of which a tile can be had without what is before it.
_TILED = ("GTiff", "JP2OpenJPEG")
_AT_A_TIME = 8


def fingerprint(scenes: Sequence[Scene], *, tolerant: bool = False) -> str:
    """Return a hash of the content of scenes, in their order.

    Of local files sizes and pieces spread over the bytes count, of remote ones the pixels of a few
    tiles. Neither names, places nor times count: a copied file has the same hash. A change that
    touches no sample of a large file goes unseen.

    Args:
        scenes: The scenes.
        tolerant: Let a remote tile that cannot be read count as such.

    Returns:
        SHA-256, hexadecimal.

    Raises:
        ImageryError: For a file that is gone or cannot be read.
    """
    local = {scene: list(local_files(scene.uri)) for scene in scenes if not is_remote(scene.uri)}
    pieces = _pieces(sum(map(len, local.values())))
    tiles = min(_MOST_TILES, max(1, _TILES // max(1, len(scenes) - len(local))))
    jobs: list[Callable[[], bytes]] = []
    for scene in scenes:
        if scene in local:
            jobs += [partial(_of_file, path, pieces) for path in local[scene]]
        else:
            jobs.append(partial(_of_tiles, scene, tiles, tolerant))
    whole = hashlib.sha256()
    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="fingerprint") as pool:
        for part in pool.map(lambda job: job(), jobs):
            whole.update(part)
    return whole.hexdigest()


def sampled_files(scenes: Sequence[Scene]) -> dict[str, str]:
    """Return hashes of the samples of all local files, by path; "" for one that is gone."""
    local = [
        file for scene in scenes if not is_remote(scene.uri) for file in local_files(scene.uri)
    ]
    pieces = _pieces(len(local))

    def sampled(file: Path) -> str:
        with suppress(ImageryError):
            return _of_file(file, pieces).hex()
        return ""

    with ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="fingerprint") as pool:
        return dict(zip(map(str, local), pool.map(sampled, local), strict=True))


def _pieces(files: int) -> int:
    return min(_MOST, max(_FEWEST, _PIECES // max(1, files)))


def _of_file(path: Path, pieces: int) -> bytes:
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        digest.update(size.to_bytes(8))
        with path.open("rb", buffering=0) as stream:
            if size <= pieces * PIECE_BYTES:
                digest.update(stream.readall())
                return digest.digest()
            for i in range(pieces):
                stream.seek(i * (size - PIECE_BYTES) // (pieces - 1))
                digest.update(stream.read(PIECE_BYTES))
    except OSError as error:
        raise ImageryError(f"cannot read {path}: {error.strerror or error}") from None
    return digest.digest()


def _of_tiles(scene: Scene, tiles: int, tolerant: bool) -> bytes:
    digest = hashlib.sha256()
    try:
        with open_raster(scene.uri) as dataset:
            if dataset.driver not in _TILED:
                return digest.digest()
            rows, columns = dataset.block_shapes[0]
            down, across = -(-dataset.height // rows), -(-dataset.width // columns)
            for i in range(tiles):
                # From corner to corner, in the middle of as many parts.
                share = (i + 0.5) / tiles
                row, column = int(share * down) * rows, int(share * across) * columns
                window = Window(
                    column,
                    row,
                    min(columns, dataset.width - column),
                    min(rows, dataset.height - row),
                )
                digest.update(np.ascontiguousarray(dataset.read(window=window)).tobytes())
    except ImageryError:
        if not tolerant:
            raise
        digest.update(b"unreadable")
    return digest.digest()
