"""A source as a torchgeo dataset. Importing this takes seconds: import it where needed."""

from __future__ import annotations

import geopandas
import pandas as pd
import shapely
import torch
from odc.geo.crs import CRS
from rasterio.transform import from_origin
from torch import Tensor
from torchgeo.datasets import GeoDataset
from torchgeo.datasets.utils import GeoSlice

from s2s_map.config.catalog import CatalogEntry
from s2s_map.errors import ImageryError
from s2s_map.imagery.source import Source
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.regions.coverage import Coverage
from s2s_map.regions.projections import LONLAT, is_finite, project


class ImageryDataset(GeoDataset):
    """The imagery of a catalog entry, read by rectangles onto one pixel lattice.

    Unlike torchgeo's `RasterDataset` it keeps the validity of pixels, and a rectangle that meets
    no scene is a sample without a valid pixel, not an error: maps have holes. A source that may
    have imagery anywhere has an index of one row, the area of use of the CRS.

    Args:
        source: The source.
        crs: Projected CRS in metres.
        pixel_m: Side of a pixel in metres.

    Raises:
        ImageryError: For imagery that reaches beyond what the CRS can show.
    """

    def __init__(self, source: Source, crs: CRS | str, pixel_m: float) -> None:
        self.source = source
        self._target = CRS(crs)
        self._res = (pixel_m, pixel_m)
        coverage = source.coverage or (_area_of_use(self._target),)
        footprints = [project(c.footprint, c.crs, self._target) for c in coverage]
        if not all(map(is_finite, footprints)):
            raise ImageryError(f"{source.entry.title} reaches beyond what {crs} can show")
        # torchgeo prints and verifies paths where there are any.
        self.paths = [getattr(c, "uri", source.entry.title) for c in coverage]
        start, end = source.entry.interval or (pd.Timestamp.min, pd.Timestamp.max)
        times = pd.IntervalIndex.from_tuples(
            [(pd.Timestamp(start), pd.Timestamp(end))] * len(footprints),
            closed="both",
            name="datetime",
        )
        self.index = geopandas.GeoDataFrame(
            {"filepath": self.paths}, index=times, geometry=footprints, crs=self._target.to_wkt()
        )

    def __getitem__(self, index: GeoSlice) -> dict[str, Tensor]:
        """Return the imagery of a rectangle.

        Args:
            index: [xmin:xmax:xres, ymin:ymax:yres, tmin:tmax]; what is left out is all there is.

        Returns:
            "image": uint8, shape (3, rows, columns); "valid": bool, shape (rows, columns);
            "bounds" and "transform" as torchgeo's datasets give them. The CRS is `crs`.

        Raises:
            IndexError: For a time at which there is no imagery.
            ImageryError: For a file that cannot be read.
        """
        x, y, t = self._disambiguate_slice(index)
        if not self.index.index.overlaps(pd.Interval(t.start, t.stop, closed="both")).any():
            raise IndexError(f"no imagery from {t.start} to {t.stop}")
        shape = (round((y.stop - y.start) / y.step), round((x.stop - x.start) / x.step))
        bounds = (x.start, y.stop - shape[0] * y.step, x.start + shape[1] * x.step, y.stop)
        block = self.source.read(bounds, shape, self._target)
        return {
            "image": torch.from_numpy(block.pixels),
            "valid": torch.from_numpy(block.valid),
            "bounds": self._slice_to_tensor((x, y, t)),
            "transform": torch.tensor(from_origin(x.start, y.stop, x.step, y.step)),
        }


def open_dataset(entry: CatalogEntry, crs: CRS | str, pixel_m: float) -> ImageryDataset:
    """Return the imagery of a catalog entry as a torchgeo dataset.

    Args:
        entry: The catalog entry.
        crs: Projected CRS in metres.
        pixel_m: Side of a pixel in metres.

    Raises:
        CatalogError: For a URI that names no file.
        ImageryError: For a file that is not as declared.
    """
    return ImageryDataset(open_source(entry), crs, pixel_m)


def _area_of_use(crs: CRS) -> Coverage:
    area = crs.proj.area_of_use
    bounds = (-180.0, -80.0, 180.0, 80.0) if area is None else area.bounds
    return Coverage(shapely.box(*bounds), LONLAT)
