"""Datasets of torchgeo as sources: what they map is what their files map."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_plain_model import PATCH_M, write_plain_job
from rasterio.transform import from_origin

from s2s_map import load_catalog
from s2s_map.config.run import load_run_config
from s2s_map.errors import ImageryChangedError, ImageryError, OutputMismatchError, S2SMapError
from s2s_map.imagery.sources.open_source import open_source
from s2s_map.pipeline.verbs.run import run

MODULE = """
from torchgeo.datasets import GeoDataset, RasterDataset

class Scenes(RasterDataset):
    filename_glob = "*.tif"
    filename_regex = r".*_(?P<date>[0-9]{8})"
    all_bands = ("R", "G", "B")

class Broken(Scenes):
    def __getitem__(self, index):
        raise RuntimeError("the disk is on fire")

class Flat(Scenes):
    def __getitem__(self, index):
        return {"image": super().__getitem__(index)["image"][:2]}

class Nothing:
    pass
"""


@pytest.fixture(autouse=True)
def _quiet() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third parties' imports
        import torchgeo.datasets  # noqa: F401


def write_scenes(folder: Path, dtype: str = "uint8") -> None:
    """Two scenes side by side, and one of the same place as the first but later."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    for name, west in (("a_20260102", 600_000.0), ("b_20260102", 600_640.0)):
        pixels = rng.integers(1, 255, (3, 128, 64)).astype(dtype)
        pixels[:, 40:60, 10:30] = 0
        profile = {"driver": "GTiff", "dtype": dtype, "count": 3, "width": 64, "height": 128}
        place = {"crs": "EPSG:32721", "transform": from_origin(west, 7_200_000.0, 10.0, 10.0)}
        with rasterio.open(folder / f"{name}.tif", "w", **profile, **place, nodata=0) as file:
            file.write(pixels)


def write_jobs(tmp_path: Path, dataset: str = "own_dataset.Scenes", **fields: Any) -> Path:
    """A job over the scenes as a torchgeo dataset, and one over the files; the first's path."""
    write_plain_job(tmp_path / "job", blocks=4)
    write_scenes(tmp_path / "job/scenes")
    common = {
        "title": "Scenes",
        "sensor": {"gsd_m": 10.0, "patch_m": PATCH_M},
        "licence": "CC0-1.0",
        "attribution": "nobody",
    }
    catalog = {
        "files": {**common, "type": "raster", "uri": "scenes"},
        "dataset": {
            **common,
            "type": "torchgeo",
            "dataset": dataset,
            "arguments": {"paths": "scenes"},
            **fields,
        },
    }
    (tmp_path / "job/data_catalog.yaml").write_text(yaml.safe_dump(catalog))
    for name in catalog:
        config = yaml.safe_load((tmp_path / "job/job.yaml").read_text())
        config |= {"source": name, "output": str(tmp_path / name)}
        (tmp_path / f"job/{name}.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "job/dataset.yaml"


@pytest.fixture
def module(site: Path) -> Path:
    (site / "own_dataset.py").write_text(MODULE)
    return site


def layers(out: Path) -> Any:
    with rasterio.open(out / "waves.tif") as tiff:
        return tiff.read(), tiff.transform


@pytest.mark.parametrize("crs", ["EPSG:32721", "EPSG:32722"])
def test_its_map_is_that_of_the_files(tmp_path: Path, module: Path, crs: str) -> None:
    path = write_jobs(tmp_path)
    for name in ("files", "dataset"):
        config = yaml.safe_load((tmp_path / f"job/{name}.yaml").read_text())
        config["grid"]["crs"] = crs
        (tmp_path / f"job/{name}.yaml").write_text(yaml.safe_dump(config))
        run(tmp_path / f"job/{name}.yaml")
    (cells, transform), (expected, other) = layers(tmp_path / "dataset"), layers(tmp_path / "files")
    assert transform == other
    np.testing.assert_array_equal(cells, expected)
    assert np.isfinite(cells).any()
    record = json.loads((tmp_path / "dataset/run.json").read_text())
    assert record["config"]["source"] == "dataset"
    # Another file is another run.
    scene = path.parent / "scenes/a_20260102.tif"
    with rasterio.open(scene, "r+") as file:
        file.write(np.full((3, 128, 64), 7, np.uint8))
    with pytest.raises(OutputMismatchError, match=r"source\.sampled_sha256"):
        run(path)


def test_files_of_another_crs_have_nodata_or_are_refused(tmp_path: Path, module: Path) -> None:
    """torchgeo warps them, and what lies beside them would be black ground."""
    path = write_jobs(tmp_path)
    scene = path.parent / "scenes/b_20260102.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 64, "height": 128}
    place = {"crs": "EPSG:32722", "transform": from_origin(-1_000.0, 7_200_000.0, 10.0, 10.0)}
    entry = load_catalog([path.parent / "data_catalog.yaml"])["dataset"]
    for nodata in (0, None):
        with rasterio.open(scene, "w", **profile, **place, nodata=nodata) as file:
            file.write(np.full((3, 128, 64), 100, np.uint8))
        if nodata is None:
            with pytest.raises(ImageryError, match=r"b_20260102\.tif is in EPSG:32722, .* black"):
                open_source(entry)
            continue
        source = open_source(entry)
        for one in source.coverage:
            west, south, east, north = (round(edge, -1) for edge in one.bounds)
            shape = (round((north - south) / 10), round((east - west) / 10))
            block = source.read((west, south, east, north), shape, one.crs)
            assert block.pixels[:, block.valid].min() > 0


def test_times_are_the_datasets_own(tmp_path: Path, module: Path) -> None:
    run(write_jobs(tmp_path, time="2026-01-02"))
    assert np.isfinite(layers(tmp_path / "dataset")[0]).any()
    write_jobs(tmp_path / "late", time="2027-01-02")
    with pytest.raises(S2SMapError, match="no cell of the region has valid imagery"):
        run(tmp_path / "late/job/dataset.yaml")


def test_catalog_check_reads_it(
    tmp_path: Path, module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = write_jobs(tmp_path).parent / "data_catalog.yaml"
    assert call("catalog", "check", "dataset", "--catalog", catalog) == 0
    assert "opens: 2 images of own_dataset.Scenes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"dataset": "Scenes"}, "takes MODULE.CLASS"),
        ({"dataset": "no_such.Scenes"}, "cannot be imported .*No module named 'no_such'"),
        ({"dataset": "own_dataset.Nothing"}, "a subclass of torchgeo's GeoDataset"),
        ({"arguments": {"path": "scenes"}}, "cannot be made .*expected arguments: of paths, crs"),
        ({"arguments": {"paths": "absent"}}, "cannot be made"),
        ({"bands": [1, 2, 4]}, r"an image of shape \(3, .*expected \(4 channels or more"),
        ({"dataset": "own_dataset.Flat"}, r"an image of shape \(2, "),
        ({"dataset": "own_dataset.Broken"}, "cannot read .*the disk is on fire"),
        ({"argumnets": {}}, "did you mean 'arguments'"),
    ],
)
def test_what_is_wrong_is_one_line(
    tmp_path: Path, module: Path, fields: dict[str, Any], says: str
) -> None:
    path = write_jobs(tmp_path, **fields)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchgeo's, of paths that are not there
        with pytest.raises(S2SMapError, match=says) as refused:
            run(path)
    assert "\n" not in str(refused.value)


def test_values_beyond_8_bit_need_a_scale(tmp_path: Path, module: Path) -> None:
    path = write_jobs(tmp_path)
    write_scenes(path.parent / "scenes", "uint16")
    for name in ("a_20260102", "b_20260102"):
        with rasterio.open(path.parent / f"scenes/{name}.tif", "r+") as file:
            file.write(file.read() * np.uint16(30))
    with pytest.raises(S2SMapError, match=r"gives values of .* expected 8 bit, or a scale"):
        run(path)
    # With one, measured or not, it maps as the files do.
    for scale in ("auto", {"min": 0, "max": 7650}):
        catalog = yaml.safe_load((path.parent / "data_catalog.yaml").read_text())
        for name in ("files", "dataset"):
            catalog[name]["scale"] = scale
        (path.parent / "data_catalog.yaml").write_text(yaml.safe_dump(catalog))
        run(path, overwrite=True)
        assert np.isfinite(layers(tmp_path / "dataset")[0]).any()
    run(tmp_path / "job/files.yaml")
    np.testing.assert_array_equal(layers(tmp_path / "dataset")[0], layers(tmp_path / "files")[0])


def test_a_file_that_changes_while_it_is_read_stops_the_run(tmp_path: Path, module: Path) -> None:
    path = write_jobs(tmp_path)
    scene = path.parent / "scenes/b_20260102.tif"

    def replaced(stage: str, block: Any) -> None:
        if stage == "encode":
            scene.touch()

    with pytest.raises(ImageryChangedError, match=r"b_20260102\.tif was replaced"):
        run(load_run_config(path), on_stage=replaced)
