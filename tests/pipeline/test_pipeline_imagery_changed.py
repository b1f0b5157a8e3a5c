"""Imagery that is replaced while a run goes on: the run stops, and no map is of two images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from fixtures_cubes import plain_cube, write_cube
from fixtures_faults import result_bytes
from fixtures_plain_model import write_plain_job
from fixtures_servers import serve_folder

from s2s_map.cli.main import main
from s2s_map.config.run import RunConfig
from s2s_map.config.stac import StacEntry
from s2s_map.errors import ImageryChangedError, OutputMismatchError, StoreError
from s2s_map.imagery.sources.stac.source import StacSource
from s2s_map.opening.unchanged import changed_files, folder_stamp
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.run import run
from s2s_map.tiling.blocks import Block


class Swap:
    """Replaces a file, once, as the nth block enters a stage."""

    def __init__(self, replace: Callable[[], None], nth: int, stage: str) -> None:
        self.replace, self.nth, self.stage = replace, nth, stage

    def __call__(self, stage: str, block: Block) -> None:
        if stage == self.stage:
            self.nth -= 1
            if self.nth == 0:
                self.replace()


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of a scene of 320 x 320 pixels, uncompressed, so that another has its size."""
    config = write_plain_job(tmp_path, 4)
    with rasterio.open(tmp_path / "scene.tif") as source:
        pixels, profile = source.read(), source.profile
    write_images(tmp_path, pixels, profile)
    monkeypatch.chdir(tmp_path)
    return config


def write_images(folder: Path, pixels: Any, profile: Any) -> None:
    profile = {**profile, "compress": None}
    for name, values in (("scene.tif", pixels), ("other.tif", 255 - pixels)):
        (folder / name).unlink(missing_ok=True)
        with rasterio.open(folder / name, "w", **profile) as target:
            target.write(np.maximum(values, 1))
    assert (folder / "scene.tif").stat().st_size == (folder / "other.tif").stat().st_size
    shutil.copy2(folder / "scene.tif", folder / "kept.tif")


def of(job: dict[str, Any], out: str) -> RunConfig:
    return RunConfig(**{**job, "output": out})


def overwrite(name: str = "scene.tif") -> None:
    """In place, as a download does."""
    data = Path("other.tif").read_bytes()
    with Path(name).open("r+b") as file:
        file.write(data)


def rename() -> None:
    shutil.copy("other.tif", "new.tif")
    Path("new.tif").rename("scene.tif")


def keep_its_time() -> None:
    before = Path("scene.tif").stat()
    overwrite()
    os.utime("scene.tif", ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("nth", [1, 7, 16])
@pytest.mark.parametrize("stage", ["read", "record"])
@pytest.mark.parametrize("replace", [overwrite, rename, keep_its_time], ids=lambda f: f.__name__)
def test_the_run_stops_and_goes_on_when_it_is_put_back(
    replace: Callable[[], None], stage: str, nth: int, job: dict[str, Any]
) -> None:
    with pytest.raises(
        ImageryChangedError,
        match=r"scene.tif was replaced or changed during the run; put it back and start the same",
    ):
        run(of(job, "out"), on_stage=Swap(replace, nth, stage))
    with pytest.raises(StoreError, match="no finished run"):
        open_run("out")
    with pytest.raises(OutputMismatchError, match="sampled_sha256"):
        run(of(job, "out"))
    shutil.copy2("kept.tif", "scene.tif")
    run(of(job, "out"))
    run(of(job, "fresh"))
    assert result_bytes(Path("out")) == result_bytes(Path("fresh"))


def test_a_finished_map_stays_when_the_imagery_is_replaced_while_it_is_asked_anew(
    job: dict[str, Any],
) -> None:
    config = of(job, "out")
    run(config)
    before = result_bytes(Path("out"))
    Path("out/embeddings.zarr/embedding/c/0/0/0/0").unlink()
    with pytest.raises(ImageryChangedError):
        run(config, on_stage=Swap(overwrite, 1, "encode"))
    after = result_bytes(Path("out"))
    assert {k: v for k, v in after.items() if k.startswith("maps")} == {
        k: v for k, v in before.items() if k.startswith("maps")
    }


def test_a_touched_file_is_said_and_the_same_run_goes_on(job: dict[str, Any]) -> None:
    def touch() -> None:
        os.utime("scene.tif")

    with pytest.raises(ImageryChangedError):
        run(of(job, "out"), on_stage=Swap(touch, 5, "read"))
    run(of(job, "out"))
    run(of(job, "fresh"))
    assert result_bytes(Path("out")) == result_bytes(Path("fresh"))


@pytest.mark.parametrize("on_missing", ["fail", "nodata"])
def test_imagery_that_breaks_as_it_is_replaced_is_no_hole(
    on_missing: str, job: dict[str, Any]
) -> None:
    entries = yaml.safe_load(Path("data_catalog.yaml").read_text())
    (entry,) = entries.values()
    entry["on_missing"] = on_missing
    Path("data_catalog.yaml").write_text(yaml.safe_dump(entries))

    def half() -> None:
        os.truncate("scene.tif", Path("scene.tif").stat().st_size // 2)

    with pytest.raises(ImageryChangedError):
        run(of(job, "out"), on_stage=Swap(half, 5, "read"))


def as_uri(uri: str, **changes: Any) -> None:
    entries = yaml.safe_load(Path("data_catalog.yaml").read_text())
    (entry,) = entries.values()
    entry |= {"uri": uri, **changes}
    Path("data_catalog.yaml").write_text(yaml.safe_dump(entries))


def test_members_and_masks_of_a_virtual_raster_count(job: dict[str, Any]) -> None:
    with rasterio.open("scene.tif") as source:
        profile, pixels = source.profile, source.read()
    vrt = [
        f'<VRTDataset rasterXSize="{profile["width"]}" rasterYSize="{profile["height"]}">',
        f"<SRS>{profile['crs'].to_wkt()}</SRS>".replace('"', "&quot;"),
        "<GeoTransform>600000,10,0,7200000,0,-10</GeoTransform>",
    ]
    colours = ("Red", "Green", "Blue")
    for band, colour in enumerate(colours, 1):
        vrt.append(
            f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>'
            '<SimpleSource><SourceFilename relativeToVRT="1">scene.tif</SourceFilename>'
            f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        )
    Path("mosaic.vrt").write_text("".join([*vrt, "</VRTDataset>"]))
    as_uri("mosaic.vrt")
    assert pixels.shape[0] == 3
    with pytest.raises(ImageryChangedError, match=r"scene\.tif was replaced"):
        run(of(job, "out"), on_stage=Swap(overwrite, 3, "read"))
    shutil.copy2("kept.tif", "scene.tif")

    def mask() -> None:
        Path("scene.tif.msk").write_bytes(b"not there before")

    with pytest.raises(ImageryChangedError, match=r"scene\.tif\.msk was"):
        run(of(job, "out"), on_stage=Swap(mask, 3, "read"))
    Path("scene.tif.msk").unlink()
    run(of(job, "out"))


def test_a_cube_is_looked_at_when_the_run_ends(job: dict[str, Any]) -> None:
    write_cube(plain_cube(), Path("cube.zarr"))
    as_uri("cube.zarr", type="zarr")
    config = {**job, "grid": {"cell_m": 40, "block_cells": 16, "crs": "EPSG:32632"}}
    chunk = Path("cube.zarr/red/c/1/1")
    kept = chunk.read_bytes()

    def replace() -> None:
        shutil.copy("cube.zarr/green/c/1/1", "chunk")
        Path("chunk").rename(chunk)

    with pytest.raises(ImageryChangedError, match=r"cube\.zarr was replaced"):
        run(of(config, "out"), on_stage=Swap(replace, 2, "read"))
    chunk.write_bytes(kept)
    run(of(config, "out"))
    run(of(config, "fresh"))
    assert result_bytes(Path("out")) == result_bytes(Path("fresh"))


def test_a_remote_file_is_compared_by_what_its_server_says(
    job: dict[str, Any],
) -> None:
    with serve_folder(Path.cwd()) as server:
        as_uri(f"{server.url}/scene.tif")
        with pytest.raises(ImageryChangedError, match=r"scene\.tif was replaced"):
            run(of(job, "out"), on_stage=Swap(overwrite, 16, "record"))
        shutil.copy2("kept.tif", "scene.tif")
        run(of(job, "out"))


def test_the_command_line_says_which_file_in_one_line(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from s2s_map.imagery.sources.raster import source as raster

    read, left = raster.RasterSource._read, [5]

    def replaced(self: Any, *args: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            overwrite()
        return read(self, *args)

    monkeypatch.setattr(raster.RasterSource, "_read", replaced)
    with pytest.raises(SystemExit) as ended:
        main(["run", "job.yaml", "-o", "out"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "scene.tif was replaced or changed during the run" in " ".join(said.split())


def test_what_is_not_known_does_not_differ(tmp_path: Path) -> None:
    assert changed_files({"a": (None, ""), "b": (None, "x")}, {"a": (None, "y")}) == {}
    assert changed_files({"b": (None, "x")}, {"b": (None, "y")}) == {"b": False}
    (tmp_path / "one").mkdir()
    first = folder_stamp(tmp_path)
    (tmp_path / "one" / "chunk").write_bytes(b"1")
    assert folder_stamp(tmp_path) != first


def test_scenes_of_a_search_are_compared_by_what_their_server_says(tmp_path: Path) -> None:
    (tmp_path / "red.tif").write_bytes(b"before")
    fields = {
        "type": "stac",
        "title": "t",
        "url": "https://api.test/v1",
        "sensor": "sentinel",
        "collection": "c",
        "time": "2020-05-01/2020-06-01",
        "licence": "l",
        "attribution": "a",
    }
    with serve_folder(tmp_path) as server:
        item = {"assets": {"red": {"href": f"{server.url}/red.tif"}}}
        source = StacSource(StacEntry.model_validate(fields), (item,))
        before = source.snapshot()
        assert changed_files(before, source.snapshot()) == {}
        (tmp_path / "red.tif").write_bytes(b"another one")
        assert list(changed_files(before, source.snapshot())) == [f"{server.url}/red.tif"]
        signed = {**fields, "token_url": "https://api.test/token"}
        assert StacSource(StacEntry.model_validate(signed), (item,)).snapshot() == {}
