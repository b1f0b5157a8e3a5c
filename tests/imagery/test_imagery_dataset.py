"""Scenes as a torchgeo dataset."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from s2s_map.config.catalog import RasterEntry

if TYPE_CHECKING:
    from fixtures_raster import MakeRaster

    from s2s_map.imagery.dataset import ImageryDataset

CRS = "EPSG:32621"


@pytest.fixture
def dataset(make_raster: MakeRaster) -> ImageryDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third parties' imports
        from s2s_map.imagery.dataset import open_dataset

    paths = (str(make_raster("a.tif")), str(make_raster("b.tif", place="utm_off_lattice")))
    entry = RasterEntry(
        type="raster",
        title="t",
        uri=paths,
        sensor="landsat",
        licence="l",
        attribution="a",
        time="2020-05-18",
    )
    return open_dataset(entry, CRS, 10.0)


def test_it_is_a_geo_dataset(dataset: ImageryDataset) -> None:
    from torchgeo.datasets import GeoDataset

    assert isinstance(dataset, GeoDataset)
    assert len(dataset) == 2
    assert dataset.crs.to_epsg() == 32621
    assert dataset.res == (10.0, 10.0)
    x, y, t = dataset.bounds
    assert (x.start, y.stop) == (717_345.0, -2_776_995.0)
    assert t.start == pd.Timestamp("2020-05-18")
    assert t.stop > t.start
    assert "ImageryDataset" in str(dataset)


def test_a_slice_gives_pixels_and_validity(dataset: ImageryDataset) -> None:
    sample = dataset[719_000:721_000, -2_782_000:-2_781_000]
    assert sample["image"].shape == (3, 100, 200)
    assert str(sample["image"].dtype) == "torch.uint8"
    assert sample["valid"].shape == (100, 200)
    assert bool(sample["valid"].all())
    assert sample["bounds"][:3].tolist() == [719_000.0, 721_000.0, 10.0]
    assert sample["transform"][:6].tolist() == [10.0, 0.0, 719_000.0, 0.0, -10.0, -2_781_000.0]


def test_a_place_without_scenes_is_a_hole_not_an_error(dataset: ImageryDataset) -> None:
    sample = dataset[0:1000, 0:1000]
    assert not bool(sample["valid"].any())
    assert not np.asarray(sample["image"]).any()


def test_a_time_without_scenes_is_an_index_error(dataset: ImageryDataset) -> None:
    late = slice(pd.Timestamp("2021-01-01"), pd.Timestamp("2021-02-01"))
    with pytest.raises(IndexError, match="no imagery from 2021"):
        dataset[719_000:721_000, -2_782_000:-2_781_000, late]
