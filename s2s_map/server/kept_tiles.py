"""Tiles of what a run has written: its layers' GeoTIFFs and its imagery, by rio-tiler."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.errors import StoreError
from s2s_map.outputs import names
from s2s_map.outputs.path import OutputPath
from s2s_map.server.colouring import nothing, png, steps
from s2s_map.server.tile_grid import TILE_PX, Tile
from s2s_map.server.viewed import Viewed
from s2s_map.server.viewed_run import ViewedRun

_OPEN_FILES = 24
_QUALITY = 82


class KeptTiles:
    """Draws tiles of files; those of an object store are copied to this machine when first asked.

    Args:
        copies: Folder for the copies.
    """

    def __init__(self, copies: TemporaryDirectory[str] | None = None) -> None:
        self._copies = copies or TemporaryDirectory(prefix="s2s-map-view-")
        self._local = threading.local()
        self._fetching = threading.Lock()

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
            found = self._part(run, run.results / names.IMAGERY, viewed.version, tile, (1, 2, 3))
            if found is not None:
                seen = np.asarray(found.mask, dtype=np.uint8)
                new = (seen > 0) & (whole[..., 3] == 0)
                pixels = np.moveaxis(np.asarray(found.data), 0, -1)
                whole[new] = np.concatenate([pixels, seen[..., None]], axis=-1)[new]
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
        if isinstance(path, Path):
            return path
        copy = Path(self._copies.name) / version / path.parent.name / path.name
        with self._fetching:
            if not copy.exists():
                partial = copy.with_suffix(".partial")
                try:
                    path.download(partial)
                except FileNotFoundError:
                    raise StoreError(f"{path} is gone", remedy="query again") from None
                partial.replace(copy)
        return copy

    def _values(
        self, run: ViewedRun, path: OutputPath, version: str, tile: Tile
    ) -> NDArray[np.float32] | None:
        found = self._part(run, path, version, tile, (1,))
        if found is None:
            return None
        return np.asarray(np.ma.filled(found.array[0].astype(np.float32), np.nan))

    def _part(
        self, run: ViewedRun, path: OutputPath, version: str, tile: Tile, bands: tuple[int, ...]
    ) -> Any:
        with self._fetching:
            # The first time, by one thread: threads that import at once may see half a module.
            from rasterio.errors import RasterioError
            from rio_tiler.errors import TileOutsideBounds
            from rio_tiler.io import Reader  # noqa: F401

            from s2s_map.rasters.geotiff import local_gdal

        file = self.local_file(path, version)
        # The imagery is a picture; cells are data.
        how = "nearest" if len(bands) == 1 else "bilinear"
        try:
            with local_gdal():
                return self._reader(file, version).tile(
                    tile.x, tile.y, tile.z, tilesize=TILE_PX, indexes=bands,
                    resampling_method=how, reproject_method=how,
                )  # fmt: skip
        except TileOutsideBounds:
            return None
        except RasterioError as error:
            raise StoreError(
                f"cannot read {file.name} of {run.folder} ({error})", remedy="s2s-map verify"
            ) from error

    def _reader(self, file: Path, version: str) -> Any:
        """Return the reader of a file; each thread has its own, as GDAL asks."""
        import rasterio
        from rio_tiler.io import Reader

        readers: OrderedDict[Any, Any] | None = getattr(self._local, "readers", None)
        if readers is None:
            readers = self._local.readers = OrderedDict()
        key = (file, version)
        if key in readers:
            readers.move_to_end(key)
            return readers[key]
        readers[key] = Reader(None, dataset=rasterio.open(file))
        if len(readers) > _OPEN_FILES:
            readers.popitem(last=False)[1].dataset.close()
        return readers[key]
