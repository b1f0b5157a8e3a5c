"""Open raster files that are lent from read to read, so that headers are read once.

A dataset of GDAL serves one thread at a time: as many of a file are open as are used at once.
"""

from __future__ import annotations

import atexit
import os
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from rasterio.io import DatasetReader

from s2s_map.opening.open_files import no_file, open_dataset, reading, settings_of
from s2s_map.opening.uris import is_remote

Version = tuple[int, ...]

_MOST_IDLE = 64
_idle: OrderedDict[tuple[str, Version, int], DatasetReader] = OrderedDict()
_fetched: Counter[str] = Counter()
_count = 0
_lock = Lock()


def version_of(uri: str) -> Version:
    """Return what changes when a file does: its time and size, or how often it was forgotten.

    Raises:
        ImageryError: For a local file that is not there.
    """
    if is_remote(uri):
        return os.getpid(), _fetched[uri]
    try:
        status = Path(uri).stat()
    except OSError:
        raise no_file(uri) from None
    return os.getpid(), status.st_mtime_ns, status.st_size


def forget(uri: str) -> None:
    """Read a remote file again from now on: it may be another one."""
    if is_remote(uri):
        with _lock:
            _fetched[uri] += 1


@contextmanager
def lent_raster(uri: str) -> Iterator[DatasetReader]:
    """Lend an open raster file, opened if none is idle; do not close it.

    Args:
        uri: As for `catalog.opening.open_raster`.

    Raises:
        ImageryError: As there.
    """
    version = version_of(uri)
    settings = settings_of(uri)
    with settings.environment():
        dataset = _take(uri, version) or open_dataset(settings)
        try:
            with reading(settings):
                yield dataset
        except BaseException:
            # What failed once is opened again.
            dataset.close()
            raise
    _give(uri, version, dataset)


def _take(uri: str, version: Version) -> DatasetReader | None:
    with _lock:
        for key in reversed(_idle):
            if key[0] == uri and key[1] == version:
                return _idle.pop(key)
    return None


def _give(uri: str, version: Version, dataset: DatasetReader) -> None:
    global _count  # noqa: PLW0603  (numbers handles, so that those of one file differ)
    with _lock:
        _count += 1
        _idle[uri, version, _count] = dataset
        spare = [_idle.popitem(last=False)[1] for _ in range(len(_idle) - _MOST_IDLE)]
    for old in spare:
        old.close()


@atexit.register
def close_idle() -> None:
    """Close what is open and idle: GDAL says something when it is left to the end of Python."""
    with _lock:
        while _idle:
            _idle.popitem()[1].close()
