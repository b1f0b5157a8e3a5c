"""Damage at rest to results: named by verify, made again by whoever writes next."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio
from fixtures_faults import all_bytes
from fixtures_plain_model import write_plain_job

from s2s_map.cli.main import main
from s2s_map.config.run import RunConfig
from s2s_map.pipeline.batch.run_batch import is_up_to_date
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status
from s2s_map.pipeline.verbs.verify import BadFile, verify_results


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    job = write_plain_job(tmp_path_factory.mktemp("damaged") / "job", blocks=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(job["output"]).parent)
        # The same time in every file, so that what is made again is the same to the byte.
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        run(RunConfig(**job))
        query(job["output"], "birds", name="birds")
    return job


@pytest.fixture
def job(
    finished: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    monkeypatch.chdir(Path(finished["output"]).parent)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    shutil.copytree(finished["output"], tmp_path / "out")
    return {**finished, "output": str(tmp_path / "out")}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)


def first_chunk(out: Path) -> Path:
    return out / "maps.zarr/probability/c/1/0/0/0"


DAMAGE: dict[str, Callable[[Path], object]] = {
    "waves.tif": lambda out: (out / "waves.tif").write_bytes(
        (out / "waves.tif").read_bytes()[:999]
    ),
    "birds.tif": lambda out: flip(out / "birds.tif"),
    "waves.qml": lambda out: (out / "waves.qml").unlink(),
    "birds.qml": lambda out: (out / "birds.tif").unlink() or (out / "birds.qml").unlink(),
    "preview.png": lambda out: (out / "preview.png").write_bytes(b""),
    "item.json": lambda out: (out / "item.json").write_text("{"),
    "maps.zarr/zarr.json": lambda out: (out / "maps.zarr/zarr.json").write_text("{"),
    "maps.zarr/probability/zarr.json": lambda out: (
        out / "maps.zarr/probability/zarr.json"
    ).unlink(),
    "maps.zarr/probability/c/1/0/0/0": lambda out: first_chunk(out).write_bytes(b"torn"),
    "maps.zarr/similarity/c/0/0/0/0": lambda out: (out / "maps.zarr/similarity/c/0/0/0/0").unlink(),
    "maps.zarr/x/c/0": lambda out: shutil.rmtree(out / "maps.zarr"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_it_is_named_and_made_again(
    job: dict[str, Any], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(job["output"])
    sound = all_bytes(out)
    assert verify_results(out) == []
    DAMAGE[name](out)
    assert name in {bad.file for bad in verify_results(out)}
    with pytest.raises(SystemExit) as end:
        main(["verify", str(out)])
    said = capsys.readouterr()
    assert end.value.code == 3
    assert f"{name}: " in said.out
    assert "verify" in said.err
    with pytest.raises(SystemExit) as end:
        main(["verify", str(out), "--repair"])
    assert end.value.code == 0, capsys.readouterr()
    assert verify_results(out) == []
    there = all_bytes(out)
    assert {key: there[key] for key in sound} == sound
    # Damage is not worth keeping, and nothing else was there.
    assert {key for key in there if "changed" not in key} == sound.keys()
    DAMAGE[name](out)
    query(out, "birds", name="birds")
    assert verify_results(out) == []
    assert all_bytes(out).items() >= sound.items()


@pytest.mark.parametrize(
    "name", ["maps.zarr/zarr.json", "birds.tif", "maps.zarr/probability/c/1/0/0/0"]
)
def test_the_same_run_makes_it_again(job: dict[str, Any], name: str) -> None:
    out = Path(job["output"])
    sound = all_bytes(out)
    DAMAGE[name](out)
    assert not is_up_to_date(resolve(RunConfig(**job))) or name == "birds.tif"
    assert run(RunConfig(**job)).concepts == ["waves", "birds"]
    assert verify_results(out) == []
    assert all_bytes(out).items() >= sound.items()


def test_the_record_and_the_imagery_are_made_by_the_run(
    job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(job["output"])
    for name in ("run.json", "imagery.tif"):
        (out / name).write_bytes((out / name).read_bytes()[:-40])
        assert name in {bad.file for bad in verify_results(out)}
        assert list(run_status(out).bad_files) == [name]
        with pytest.raises(SystemExit) as end:
            main(["verify", str(out), "--repair"])
        assert end.value.code == 3
        assert "start the same run again" in capsys.readouterr().err
        assert run(RunConfig(**job)).concepts == ["waves", "birds"]
        assert verify_results(out) == []
    # A query needs no imagery: it says so, and the run makes it.
    (out / "imagery.tif").unlink()
    query(out, "rain")
    assert verify_results(out) == [BadFile("imagery.tif", "is missing")]
    run(RunConfig(**job))
    assert verify_results(out) == []


def test_status_sees_what_is_gone_or_cut(
    job: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(job["output"])
    (out / "waves.tif").unlink()
    (out / "birds.tif").write_bytes(b"")
    assert list(run_status(out).bad_files) == ["birds.tif", "waves.tif"]
    with pytest.raises(SystemExit):
        main(["status", str(out)])
    assert "waves.tif: is missing" in capsys.readouterr().out


def test_what_decodes_but_was_changed_is_kept(job: dict[str, Any]) -> None:
    out = Path(job["output"])
    with rasterio.open(out / "waves.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(NOTE="mine")
    query(out, "rain")
    with rasterio.open(out / "waves.changed-1.tif") as dataset:
        assert dataset.tags()["NOTE"] == "mine"
    with rasterio.open(out / "waves.tif") as dataset:
        assert "NOTE" not in dataset.tags()


def test_checksums_stand_in_the_record_and_the_item(job: dict[str, Any]) -> None:
    out = Path(job["output"])
    files = json.loads((out / "run.json").read_text())["files"]
    for name, entry in files.items():
        data = (out / name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["size"], entry["sha256"])
    there = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    ours = {n for n in there if not n.startswith((".", "embeddings.zarr", "ledger", "run.json"))}
    assert files.keys() == ours
    item = json.loads((out / "item.json").read_text())
    assert "https://stac-extensions.github.io/file/v2.1.0/schema.json" in item["stac_extensions"]
    for key, name in {
        "waves": "waves.tif",
        "birds-style": "birds.qml",
        "imagery": "imagery.tif",
    }.items():
        asset = item["assets"][key]
        assert asset["file:checksum"] == f"1220{files[name]['sha256']}"
        assert asset["file:size"] == files[name]["size"]
    assert "file:checksum" not in item["assets"]["maps"]
