"""Tiles of what a run has written: its layers' GeoTIFFs, and its imagery by rio-tiler."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from s2s_map.errors import StoreError
from s2s_map.outputs import names
from s2s_map.outputs.path import OutputPath
from s2s_map.outputs.staging import kept_copy
from s2s_map.server.colouring import nothing, png, steps
from s2s_map.server.tile_grid import TILE_PX, Tile, fitting, window_of
from s2s_map.server.viewed import Viewed
from s2s_map.server.viewed_run import ViewedRun

_OPEN_FILES = 24
_QUALITY = 82
_WEB = "EPSG:3857"
_IMPORTING = threading.Lock()


class KeptTiles:
    """Draws tiles of files; those of an object store are copied to this machine when first asked.

    Args:
        copies: Folder for the copies.
    """

    def __init__(self, copies: TemporaryDirectory[str] | None = None) -> None:
        self._copies = copies or TemporaryDirectory(prefix="s2s-map-view-")
        self._local = threading.local()
        self._fetching = threading.Lock()
        self._lacking: dict[tuple[str, str], bool] = {}

    def close(self) -> None:
        """Remove the copies."""
        self._copies.cleanup()

    def layer(
        self, viewed: Viewed, name: str, slot: str, tile: Tile, above: float | None = None
    ) -> bytes:
        """Return a tile of a layer as PNG.

        Args:
            viewed: What is looked at.
            name: Of the layer.
            slot: Label of the time slot.
            tile: Which tile.
            above: Show only values of this and more.
        """
        drawn: NDArray[np.float32] | None = None
        for run, _ in viewed.layers[name]:
            if slot not in run.time_slots:
                continue
            path = run.geotiff(name, run.time_slots.index(slot))
            found = self._values(run, path, viewed.version, tile)
            if found is not None:
                drawn = found if drawn is None else np.where(np.isnan(drawn), found, drawn)
        if drawn is None:
            return nothing()
        return png(steps(drawn, viewed.colour_range(name), above), above=above is not None)

    def imagery(self, viewed: Viewed, tile: Tile) -> bytes:
        """Return a tile of the imagery as WebP, transparent where there is none."""
        from PIL import Image

        whole = np.zeros((TILE_PX, TILE_PX, 4), dtype=np.uint8)
        for run in viewed.runs:
            found = self._picture(run, viewed.version, tile)
            if found is not None:
                pixels, seen = found
                new = (seen > 0) & (whole[..., 3] == 0)
                whole[new] = np.concatenate([np.moveaxis(pixels, 0, -1), seen[..., None]], axis=-1)[
                    new
                ]
        if not whole[..., 3].any():
            return nothing()
        out = io.BytesIO()
        opaque = bool((whole[..., 3] == 255).all())
        picture = Image.fromarray(whole[..., :3] if opaque else whole)
        picture.save(out, "WEBP", quality=_QUALITY, method=0)
        return out.getvalue()

    def local_file(self, path: OutputPath, version: str) -> Path:
        """Return a file of this machine with the content of one of the results.

        Args:
            path: A file of the results.
            version: Of what is looked at.

        Raises:
            StoreError: If it is gone.
        """
        copy = Path(self._copies.name) / version / path.parent.name / path.name
        with self._fetching:
            try:
                return kept_copy(path, copy)
            except FileNotFoundError:
                raise StoreError(f"{path} is gone", remedy="query again") from None

    def _values(
        self, run: ViewedRun, path: OutputPath, version: str, tile: Tile
    ) -> NDArray[np.float32] | None:
        """Return the cells that a tile shows, each as it is; of an overview if they are many."""
        _imported()
        file = self.local_file(path, version)
        with _reading(file, run):
            dataset = self._dataset(file, version)
            sides = [run.grid.cell_m * factor for factor in (1, *dataset.overviews(1))]
            level = fitting(sides, tile.pixel_m, 1.0)
            if level:
                dataset = self._dataset(file, version, level - 1)
            window = window_of(tile, _geobox(dataset))
            if window is None:
                return None
            rows, columns = window.rows, window.columns
            cells = dataset.read(
                1,
                window=((rows.start, rows.stop), (columns.start, columns.stop)),
                masked=True,
            )
        return window.drawn(np.asarray(np.ma.filled(cells.astype(np.float32), np.nan)))

    def _picture(
        self, run: ViewedRun, version: str, tile: Tile
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
        """Return red, green and blue (3, 512, 512) of a tile, and where they are seen."""
        _imported()
        if self._lacks_imagery(run, version):
            return None
        file = self.local_file(run.results / names.IMAGERY, version)
        with _reading(file, run):
            dataset = self._dataset(file, version)
            window = window_of(tile, _geobox(dataset))
            if window is None:
                return None
            # Only what the file covers is warped: GDAL would go through a whole world of pixels of
            # a small file that has no overviews.
            part = _around(window.inside)
            found = self._reader(file, version).part(
                _bounds(tile, *part), dst_crs=_WEB, bounds_crs=_WEB, indexes=(1, 2, 3),
                height=part[0].stop - part[0].start, width=part[1].stop - part[1].start,
                resampling_method="bilinear", reproject_method="bilinear",
            )  # fmt: skip
        pixels = np.zeros((3, TILE_PX, TILE_PX), dtype=np.uint8)
        seen = np.zeros((TILE_PX, TILE_PX), dtype=np.uint8)
        pixels[:, *part], seen[part] = found.data, found.mask
        return pixels, seen

    def _lacks_imagery(self, run: ViewedRun, version: str) -> bool:
        key = (version, str(run.folder))
        if key not in self._lacking:
            self._lacking[key] = not (run.results / names.IMAGERY).is_file()
        return self._lacking[key]

    def _reader(self, file: Path, version: str) -> Any:
        """Return rio-tiler's reader of a file."""
        from rio_tiler.io import Reader

        return Reader(None, dataset=self._dataset(file, version))

    def _dataset(self, file: Path, version: str, overview: int | None = None) -> Any:
        """Return an open file, or an overview of it; each thread has its own, as GDAL asks."""
        import rasterio

        opened: OrderedDict[Any, Any] | None = getattr(self._local, "opened", None)
        if opened is None:
            opened = self._local.opened = OrderedDict()
        key = (file, version, overview)
        if key in opened:
            opened.move_to_end(key)
            return opened[key]
        how = {} if overview is None else {"overview_level": overview}
        opened[key] = rasterio.open(file, **how)
        if len(opened) > _OPEN_FILES:
            opened.popitem(last=False)[1].close()
        return opened[key]


def _imported() -> None:
    # The first time, by one thread: threads that import at once may see half a module.
    with _IMPORTING:
        import rio_tiler.io  # noqa: F401

        import s2s_map.rasters.geotiff  # noqa: F401


@contextmanager
def _reading(file: Path, run: ViewedRun) -> Iterator[None]:
    from rasterio.errors import RasterioError

    from s2s_map.rasters.geotiff import local_gdal

    try:
        with local_gdal():
            yield
    except RasterioError as error:
        raise StoreError(
            f"cannot read {file.name} of {run.folder} ({error})", remedy="s2s-map verify"
        ) from error


def _geobox(dataset: Any) -> GeoBox:
    return GeoBox(dataset.shape, dataset.transform, dataset.crs.to_wkt())


def _around(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that hold all that is inside, and a pixel more."""
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return tuple(
        slice(max(int(at[0]) - 1, 0), min(int(at[-1]) + 2, TILE_PX)) for at in (rows, columns)
    )  # type: ignore[return-value]


def _bounds(tile: Tile, rows: slice, columns: slice) -> tuple[float, float, float, float]:
    west, _, east, north = tile.bounds
    pixel = (east - west) / TILE_PX
    return (
        west + columns.start * pixel,
        north - rows.stop * pixel,
        west + columns.stop * pixel,
        north - rows.start * pixel,
    )
