"""Files that somebody else put into an output: none is removed or written over without a word."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fixtures_faults import stop_after
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.errors import InterruptedRunError, OutputError
from s2s_map.outputs.older_files import is_our_style
from s2s_map.outputs.sidecars import is_only_statistics
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import verify
from s2s_map.pipeline.verbs.verify import verify_results
from s2s_map.reporter import Reporter


class Noted(Reporter):
    """Keeps what is worth a line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def __str__(self) -> str:
        return "\n".join(self.lines)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    job: dict[str, Any] = write_plain_job(tmp_path / "job", blocks=2)
    monkeypatch.chdir(tmp_path / "job")
    return RunConfig(**{**job, "output": str(tmp_path / "out")})


@pytest.fixture
def out(config: RunConfig) -> Path:
    folder = run(config).folder
    assert isinstance(folder, Path)
    return folder


def changed(config: RunConfig, **changes: Any) -> RunConfig:
    patches = config.patches.model_copy(update={"stride_m": 40})
    return config.model_copy(update={"patches": patches, **changes})


def own_layer(path: Path) -> bytes:
    """Write a GeoTIFF as GDAL does, and statistics beside it."""
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "width": 8, "height": 8}
    with rasterio.open(path, "w", **profile, crs="EPSG:32721") as target:
        target.write(np.arange(64, dtype=np.float32).reshape(1, 8, 8))
    with rasterio.open(path) as source, warnings.catch_warnings():
        # The one that has GDAL keep what it counts, as QGIS does.
        warnings.simplefilter("ignore", rasterio.errors.RasterioDeprecationWarning)
        source.statistics(1)
    return path.read_bytes()


def test_overwrite_leaves_a_users_files(config: RunConfig, out: Path) -> None:
    mine = {
        "elevation.tif": own_layer(out / "elevation.tif"),
        "elevation.qml": b"<qgis/>",
        "notes.qml": b"mine",
        "field work.qgz": b"mine",
        "project.qgz~": b"kept by QGIS",
        "roads.gpkg-wal": b"mine",
        "waves.qmd": b"<qgis/>",
        "maps.zarr/../deep/er.txt": b"mine",
    }
    (out / "deep").mkdir()
    for name, content in mine.items():
        (out / name).write_bytes(content)
    noted = Noted()
    run(changed(config), overwrite=True, reporter=noted)
    assert {name: (out / name).read_bytes() for name in mine} == mine
    assert (out / "elevation.tif.aux.xml").exists()
    assert "left alone, as no run wrote it: deep, elevation.qml, elevation.tif" in str(noted)
    assert "which took" in str(noted)


def test_a_project_that_was_changed_is_kept_aside(config: RunConfig, out: Path) -> None:
    (out / "project.qgz").write_bytes(b"saved in QGIS")
    noted = Noted()
    query(out, "birds", name="birds", reporter=noted)
    assert (out / "project.changed-1.qgz").read_bytes() == b"saved in QGIS"
    assert (out / "project.qgz").read_bytes().startswith(b"PK")
    assert "project.qgz was changed since it was written: it is kept as" in str(noted)


def test_somebodys_own_project_stays_and_ours_is_not_made(config: RunConfig, out: Path) -> None:
    # As versions left it that made none.
    for name in (".manifest.json", "run.json"):
        content = json.loads((out / name).read_text())
        del content["files"]["project.qgz"]
        (out / name).write_text(json.dumps(content))
    (out / "project.qgz").write_bytes(b"mine")
    noted = Noted()
    query(out, "birds", name="birds", reporter=noted)
    assert (out / "project.qgz").read_bytes() == b"mine"
    assert "project.qgz there is your own" in str(noted)
    assert "project.qgz" not in json.loads((out / "run.json").read_text())["files"]
    assert verify(out) == []
    assert verify_results(out) == []


def test_a_name_that_is_taken_is_refused_before_anything_is_done(
    config: RunConfig, out: Path
) -> None:
    mine = own_layer(out / "elevation.tif")
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != ".lock"}
    named = changed(config, queries=(config.queries[0].model_copy(update={"name": "elevation"}),))
    for how in ({}, {"overwrite": True}):
        with pytest.raises(OutputError, match=r"holds elevation\.tif, which no run wrote"):
            run(named if how else named.model_copy(update={"patches": config.patches}), **how)
    with pytest.raises(OutputError, match=r"holds elevation\.tif.*give the query another name"):
        query(out, "a hill", name="elevation")
    after = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != ".lock"}
    assert after == before
    assert (out / "elevation.tif").read_bytes() == mine


def test_a_name_that_is_taken_in_the_meantime_costs_no_work(
    config: RunConfig, out: Path, tmp_path: Path
) -> None:
    birds = config.model_copy(
        update={
            "queries": (*config.queries, config.queries[0].model_copy(update={"name": "birds"}))
        }
    )

    class Meanwhile(Reporter):
        def start(self, stage: str, total: int, unit: str, done: int = 0) -> None:
            if stage == "Writing":
                (out / "birds.tif").write_bytes(b"mine")

    before = (out / "run.json").read_bytes()
    with pytest.raises(OutputError, match=r"birds\.tif.*what is done is kept.*same command again"):
        run(birds, reporter=Meanwhile())
    assert (out / "birds.tif").read_bytes() == b"mine"
    assert (out / "run.json").read_bytes() == before
    (out / "birds.tif").rename(tmp_path / "birds.tif")
    assert run(birds).concepts == ["waves", "birds"]


def test_a_style_that_somebody_saved_is_set_aside(config: RunConfig, out: Path) -> None:
    (out / "waves.qml").write_text("<qgis version='3.34'/>")
    noted = Noted()
    run(changed(config), overwrite=True, reporter=noted)
    assert (out / "waves.changed-1.qml").read_text() == "<qgis version='3.34'/>"
    assert is_our_style(out / "waves.qml")
    assert "waves.qml was changed since it was written: it is kept as waves.changed-1.qml" in str(
        noted
    )
    # Nothing is set aside twice.
    run(config, overwrite=True)
    assert not (out / "waves.changed-2.qml").exists()


def test_a_changed_layer_that_goes_stays_where_it_is(config: RunConfig, out: Path) -> None:
    query(out, "birds", name="birds")
    with rasterio.open(out / "waves.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(NOTE="mine")
    rain = (config.queries[0].model_copy(update={"name": "rain"}),)
    noted = Noted()
    run(changed(config, queries=rain), overwrite=True, reporter=noted)
    assert "waves.tif was changed since it was written: it stays" in str(noted)
    with rasterio.open(out / "waves.tif") as dataset:
        assert dataset.tags()["NOTE"] == "mine"
    assert not (out / "waves.qml").exists()
    assert (out / "birds.tif").exists()


def test_statistics_of_the_layer_before_are_not_believed(config: RunConfig, out: Path) -> None:
    # QGIS counts histograms, which GDAL keeps beside the file.
    counted = out / "waves.tif.aux.xml"
    counted.write_text(
        "<PAMDataset><PAMRasterBand band='1'><Histograms><HistItem><HistMin>0</HistMin>"
        "<HistMax>9</HistMax><BucketCount>2</BucketCount><HistCounts>3|4</HistCounts></HistItem>"
        "</Histograms><Metadata><MDI key='STATISTICS_MAXIMUM'>9</MDI></Metadata></PAMRasterBand>"
        "</PAMDataset>"
    )
    assert is_only_statistics(counted)
    (out / "waves.tif.ovr").write_bytes(b"pyramids that somebody asked for")
    # The same layer written again: they are still those of it.
    query(out, "birds")
    assert counted.exists()
    run(changed(config), overwrite=True)
    assert not counted.exists()
    with rasterio.open(out / "waves.tif") as dataset:
        assert float(dataset.tags(1)["STATISTICS_MAXIMUM"]) <= 1
    assert (out / "waves.changed-1.tif.ovr").read_bytes() == b"pyramids that somebody asked for"
    told = counted.with_name("birds.tif.aux.xml")
    told.write_text("<PAMDataset><Metadata><MDI key='AUTHOR'>me</MDI></Metadata></PAMDataset>")
    assert not is_only_statistics(told)
    run(config, overwrite=True)
    assert "me" in (out / "birds.changed-1.tif.aux.xml").read_text()


def test_files_of_somebody_within_our_folders_are_kept(config: RunConfig, out: Path) -> None:
    (out / "maps.zarr" / "notes.txt").write_text("mine")
    (out / "embeddings.zarr" / "notes.txt").write_text("mine")
    run(changed(config), overwrite=True)
    for kind in ("maps", "embeddings"):
        assert (out / f"{kind}.changed-1.zarr" / "notes.txt").read_text() == "mine"
        assert not (out / f"{kind}.zarr" / "notes.txt").exists()
    # Of embeddings nothing but that: they are large, and replaced.
    assert [p.name for p in (out / "embeddings.changed-1.zarr").rglob("*")] == ["notes.txt"]


def test_a_folder_with_nothing_but_sidecars_is_free(config: RunConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "waves.tif.aux.xml").write_text("<PAMDataset/>")
    (out / "waves.qmd").write_text("<qgis/>")
    assert run(config).concepts == ["waves"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "waves.qml").write_text("<qgis/>")
    with pytest.raises(OutputError, match=r"holds other files, such as waves\.qml"):
        run(config.model_copy(update={"output": str(tmp_path / "other")}))


def test_results_without_a_manifest_are_known_by_what_is_in_them(
    config: RunConfig, out: Path
) -> None:
    query(out, "birds", name="birds")
    # As version 0.1.0 left them.
    (out / ".manifest.json").unlink()
    record = json.loads((out / "run.json").read_text())
    record = {key: value for key, value in record.items() if key not in ("files", "asked")}
    (out / "run.json").write_text(json.dumps(record))
    (out / "copy.tif").write_bytes((out / "birds.tif").read_bytes())
    (out / "copy.qml").write_bytes((out / "birds.qml").read_bytes())
    (out / "maps.zarr" / "notes.txt").write_text("mine")
    (out / "waves.qml").write_text("<qgis version='3.34'/>")
    rain = (config.queries[0].model_copy(update={"name": "rain"}),)
    done = run(changed(config, queries=rain), overwrite=True)
    # What a config asked goes with it, what a query added is asked again.
    assert done.concepts == ["rain", "birds"]
    assert not (out / "waves.tif").exists()
    assert (out / "waves.qml").read_text() == "<qgis version='3.34'/>"
    assert (out / "copy.tif").exists()
    assert (out / "copy.qml").exists()
    assert (out / "maps.changed-1.zarr" / "notes.txt").exists()


def test_a_layer_whose_recording_is_gone_is_named(
    config: RunConfig, out: Path, tmp_path: Path
) -> None:
    record = json.loads((out / "run.json").read_text())
    record["concepts"]["owl"] = {
        "title": "recording owl.wav",
        "method": "softmax, uncalibrated",
        "query": {"name": "owl", "audio": "owl.wav", "sha256": "0" * 64},
    }
    (out / "run.json").write_text(json.dumps(record))
    noted = Noted()
    done = run(changed(config), overwrite=True, reporter=noted)
    assert done.concepts == ["waves"]
    assert "the layer owl is gone" in str(noted)
    assert "owl.wav" in str(noted)


def test_what_was_begun_with_a_third_config_goes(config: RunConfig, out: Path) -> None:
    with pytest.raises(InterruptedRunError):
        run(changed(config), overwrite=True, executor=stop_after("EmbedTask", 2))
    noted = Noted()
    third = config.model_copy(
        update={"patches": config.patches.model_copy(update={"stride_m": 140})}
    )
    run(third, overwrite=True, reporter=noted)
    assert "2 blocks of a run that --overwrite began and another config are removed" in str(noted)
    assert not (out / ".next").exists()
