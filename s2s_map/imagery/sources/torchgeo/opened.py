"""A torchgeo dataset of this process: made once, and read by one thread at a time."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS

from s2s_map.catalog.scene import Scene
from s2s_map.config.torchgeo import TorchgeoEntry
from s2s_map.errors import ImageryError, S2SMapError
from s2s_map.opening.unchanged import stamps_of
from s2s_map.redaction import redacted

if TYPE_CHECKING:
    from torchgeo.datasets import GeoDataset

_MOST_ROWS = 200_000


class Opened:
    """A dataset with the lock that its file handles need.

    Args:
        dataset: The dataset.
        name: What its class is called in an entry.
    """

    def __init__(self, dataset: GeoDataset, name: str) -> None:
        self.dataset = dataset
        self.name = name
        self._turn = Lock()

    def scenes(self, dtype: str) -> tuple[Scene, ...]:
        """Return what it has as images of its own pixels, one for each outline of its index.

        Args:
            dtype: Numpy name of the type that its values fit into.

        Raises:
            ImageryError: For a dataset without CRS, pixel size or anything in it.
        """
        index, crs = self.dataset.index, self.dataset.crs
        across, down = self.dataset.res
        if crs is None or not (across > 0 and down > 0):
            raise ImageryError(
                f"the dataset {self.name} has {'no CRS' if crs is None else f'res {across, down}'}",
                expected="a dataset with a CRS and a pixel size",
                remedy="give crs: and res: in arguments:",
            )
        if not 0 < len(index) <= _MOST_ROWS:
            raise ImageryError(
                f"the dataset {self.name} has {len(index):,} items",
                expected=f"1 to {_MOST_ROWS:,}",
            )
        code = crs.to_epsg()
        named = CRS(crs.to_wkt() if code is None else f"EPSG:{code}")
        files = index["filepath"] if "filepath" in index else [self.name] * len(index)
        found: dict[tuple[float, ...], Scene] = {}
        for file, outline in zip(files, index.geometry, strict=True):
            west, south, east, north = (float(edge) for edge in outline.bounds)
            shape = (max(1, round((north - south) / down)), max(1, round((east - west) / across)))
            # Of one place at many times the dataset itself says what is shown.
            found.setdefault(
                (west, south, east, north),
                Scene(
                    uri=str(file),
                    bounds=(west, north - shape[0] * down, west + shape[1] * across, north),
                    crs=named,
                    shape=shape,
                    transform=Affine(across, 0.0, west, 0.0, -down, north),
                    band_count=3,
                    dtype=dtype,
                    valid="nodata",
                    stamps=stamps_of(str(file)),
                ),
            )
        return tuple(found.values())

    def nodata(self, entry: TorchgeoEntry, scene: Scene) -> float | None:
        """Return the value without data: of the entry, the dataset, or the first file's header."""
        if entry.nodata is not None:
            return entry.nodata
        own = getattr(self.dataset, "nodata", None)
        if own is not None or not scene.stamps:
            return None if own is None else float(own)
        from s2s_map.opening.open_files import open_raster

        try:
            with open_raster(scene.uri) as source:
                return None if source.nodata is None else float(source.nodata)
        except ImageryError:
            return None  # No raster, but something that only the dataset can read.

    def check_warped(self, scenes: Sequence[Scene]) -> None:
        """Check that torchgeo does not warp files so that what lies beside them is black.

        Args:
            scenes: What `scenes` gave.

        Raises:
            ImageryError: For a file in another CRS than the dataset's that has no nodata value:
                beside its turned pixels torchgeo puts zeros, and mixes them into its edges.
        """
        from s2s_map.opening.open_files import open_raster

        for scene in scenes:
            if not scene.stamps:
                continue
            try:
                with open_raster(scene.uri) as source:
                    crs, nodata = source.crs, source.nodata
            except ImageryError:
                continue  # No raster, but something that only the dataset can read.
            if crs is not None and nodata is None and CRS(crs.to_wkt()) != scene.crs:
                raise ImageryError(
                    f"{redacted(scene.uri)} is in {crs.to_string()[:80]}, the dataset {self.name} "
                    f"in {scene.crs}, and without a nodata value what lies beside it would be "
                    "black ground",
                    expected="files in the CRS of the dataset, or with a nodata value",
                    remedy="set one in the files (gdal_edit.py -a_nodata), or use type: raster, "
                    "which takes files of several CRSs",
                )

    def read(
        self, scene: Scene, rows: slice, cols: slice, entry: TorchgeoEntry, nodata: float | None
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Read a window of a scene.

        Returns:
            Values (3, rows, columns), and where they are data.

        Raises:
            ImageryError: For whatever the dataset raises, and an image of another shape.
        """
        t = scene.transform
        x = slice(t.c + cols.start * t.a, t.c + cols.stop * t.a, t.a)
        y = slice(t.f + rows.stop * t.e, t.f + rows.start * t.e, -t.e)
        index: Any = (x, y, *_time(entry))
        shape = (rows.stop - rows.start, cols.stop - cols.start)
        try:
            # Its handles of files are no matter of several threads at a time.
            with self._turn:
                image = self.dataset[index]["image"]
            values = np.asarray(image, dtype=np.float32)
        except IndexError:
            return np.zeros((3, *shape), np.float32), np.zeros(shape, np.bool_)
        except Exception as error:
            raise ImageryError(
                f"the dataset {self.name} cannot read {redacted(scene.uri)} "
                f"({type(error).__name__}: {error})"
            ) from error
        if values.ndim != 3 or values.shape[1:] != shape or len(values) < max(entry.bands):
            raise ImageryError(
                f"the dataset {self.name} gives an image of shape {values.shape}",
                expected=f"({max(entry.bands)} channels or more, {shape[0]}, {shape[1]})",
                remedy="correct bands:, or the arguments: of the dataset",
            )
        values = np.ascontiguousarray(values[[band - 1 for band in entry.bands]])
        known = np.isfinite(values).all(axis=0)
        if nodata is not None and not np.isnan(nodata):
            # A pixel is void where all bands are: a black band of dark water is not.
            known &= ~(values == np.float32(nodata)).all(axis=0)
        if entry.scale is None and known.any():
            _check_8bit(values[:, known], self.name)
        return values, known


def held_dataset(entry: TorchgeoEntry, scenes: Sequence[Scene]) -> Opened:
    """Return the dataset of an entry over files as they were, made when they are first read here.

    Args:
        entry: The entry.
        scenes: Its images, with the stamps of their files: a dataset may hold other ones open.

    Raises:
        ImageryError: As `make_dataset`.
    """
    key = (entry.dataset, _arguments(entry), hash(tuple(scene.stamps for scene in scenes)))
    with _MAKING:
        if key not in _HELD:
            while len(_HELD) >= _MOST_HELD:
                _HELD.pop(next(iter(_HELD)))
            _HELD[key] = make_dataset(entry)
        return _HELD[key]


_MAKING = Lock()
_HELD: dict[tuple[str, str, int], Opened] = {}
_MOST_HELD = 8


def _arguments(entry: TorchgeoEntry) -> str:
    return json.dumps(entry.arguments, sort_keys=True)


def package_of(dataset: str) -> tuple[str, str] | None:
    """Return name and version of the package that a class is of, if it has that of its module."""
    name = dataset.partition(".")[0]
    try:
        return name, version(name)
    except PackageNotFoundError:
        return None


def make_dataset(entry: TorchgeoEntry) -> Opened:
    """Import the class of an entry and call it with the arguments, so that it finds its files.

    Raises:
        ImageryError: For a class that cannot be imported, is no `GeoDataset`, or cannot be made.
    """
    from torchgeo.datasets import GeoDataset

    name = entry.dataset
    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise ImageryError(
            f"dataset: {name} cannot be imported ({type(error).__name__}: {error})",
            expected="MODULE.CLASS",
            remedy="put its module on the PYTHONPATH, of workers too",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, GeoDataset)):
        raise ImageryError(
            f"dataset: {name} is {kind!r}"[:300], expected="a subclass of torchgeo's GeoDataset"
        )
    try:
        # A copy: a dataset may keep what it is given, and an entry does not change.
        return Opened(kind(**json.loads(_arguments(entry))), name)
    except S2SMapError:
        raise
    except Exception as error:
        takes = ", ".join(list(inspect.signature(kind).parameters)[:20])
        raise ImageryError(
            f"dataset: {name} cannot be made ({type(error).__name__}: {error})",
            expected=f"arguments: of {takes}",
        ) from error


def _time(entry: TorchgeoEntry) -> tuple[slice, ...]:
    interval = entry.interval
    if interval is None:
        return ()
    start, end = (pd.Timestamp(time).tz_localize(None) for time in interval)
    return (slice(start, end),)


def _check_8bit(values: NDArray[np.float32], name: str) -> None:
    low, high = float(values.min()), float(values.max())
    if low < 0.0 or high > 255.0 or (values != np.rint(values)).any():
        raise ImageryError(
            f"the dataset {name} gives values of {low:g} to {high:g}",
            expected="8 bit, or a scale",
            remedy="add scale: auto, or {min: ..., max: ...}, to the catalog entry",
        )
