"""Blocks whose imagery had holes are tried again, and no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import rasterio
import yaml
from fixtures_cli import call
from fixtures_faults import TESTS, CountBlocks, FailAt, all_bytes, result_bytes
from fixtures_objects import new_bucket, object_bytes, serve_s3, use_s3
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import ConfigError, InterruptedRunError, OutputMismatchError
from s2s_map.imagery.source import NamedParts
from s2s_map.pipeline.embed.retry_holes import is_mended
from s2s_map.pipeline.engine.executor import Outcome, ThreadsExecutor
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify
from s2s_map.reporter import Reporter

pytestmark = pytest.mark.usefixtures("forked_processes")

BLOCKS = 16


class Stopping(ThreadsExecutor):
    """Is stopped when so many blocks are through."""

    def __init__(self, after: int) -> None:
        super().__init__(1)
        self._after = after

    def run(self, *about: Any) -> Iterator[Outcome[Any, Any]]:
        for done, outcome in enumerate(super().run(*about), start=1):
            yield outcome
            if done == self._after:
                raise KeyboardInterrupt


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two scenes side by side, on which blocks in the west and in the east depend."""
    folder = tmp_path / "job"
    config = write_plain_job(folder, blocks=4)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    (folder / "scenes").mkdir()
    with rasterio.open(folder / "scene.tif") as whole:
        pixels, profile = whole.read(), whole.profile
    px = pixels.shape[2]
    for name, columns in (("west", slice(0, px // 2)), ("east", slice(px // 2, px))):
        part = pixels[:, :, columns]
        transform = profile["transform"] @ rasterio.Affine.translation(columns.start, 0)
        tiles = {"blockxsize": 16, "blockysize": 16}
        about = {**profile, **tiles, "width": part.shape[2], "transform": transform}
        with rasterio.open(folder / "scenes" / f"{name}.tif", "w", **about) as file:
            file.write(part)
    (folder / "scene.tif").unlink()
    catalog = yaml.safe_load((folder / "data_catalog.yaml").read_text())
    catalog["noise"].update(uri="scenes/*.tif", on_missing="nodata")
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(catalog))
    return config


@pytest.fixture
def east() -> Path:
    return Path("scenes/east.tif")


@pytest.fixture
def mend(job: dict[str, Any], east: Path) -> bytes:
    """Break the eastern scene; returns what repairs it."""
    whole = east.read_bytes()
    east.write_bytes(whole[: len(whole) // 2])
    return whole


def config_for(job: dict[str, Any], out: object) -> RunConfig:
    return RunConfig(**{**job, "output": str(out)})


def test_only_blocks_with_holes_are_embedded_again(
    job: dict[str, Any], east: Path, mend: bytes, tmp_path: Path
) -> None:
    config = config_for(job, tmp_path / "out")
    assert call("run", "job.yaml", "-o", config.output) == 3
    before = run_status(config.output)
    holed = {hole["block"] for hole in before.holes}
    assert 0 < len(holed) < BLOCKS
    east.write_bytes(mend)
    # It is another file, so without being asked nothing of it is used.
    with pytest.raises(OutputMismatchError, match="sampled_sha256"):
        run(config)
    seen = CountBlocks("read", tmp_path / "seen")
    done = run(config, retry_holes=True, on_stage=seen)
    assert seen.count.stat().st_size == len(holed)
    assert done.record.holes == ()
    assert run_status(config.output).state == "complete"
    assert verify(config.output) == []
    fresh = run(config_for(job, tmp_path / "fresh"))
    assert all_bytes(Path(config.output)) == all_bytes(tmp_path / "fresh")
    there = done.embeddings.attributes
    assert there["identity"] == fresh.embeddings.attributes["identity"]
    # And it is as any finished run from now on.
    assert call("run", "job.yaml", "-o", config.output) == 0
    assert call("run", "job.yaml", "-o", config.output, "--retry-holes") == 0


def test_holes_that_stay_are_holes_again(job: dict[str, Any], mend: bytes, tmp_path: Path) -> None:
    config = config_for(job, tmp_path / "out")
    run(config)
    before = all_bytes(tmp_path / "out")
    holed = {hole["block"] for hole in run_status(config.output).holes}
    assert call("run", "job.yaml", "-o", config.output, "--retry-holes") == 3
    assert all_bytes(tmp_path / "out") == before
    assert {hole["block"] for hole in run_status(config.output).holes} == holed


def test_a_block_that_fails_now_stays_as_it_was(
    job: dict[str, Any], mend: bytes, tmp_path: Path
) -> None:
    config = config_for(job, tmp_path / "out")
    run(config)
    before = all_bytes(tmp_path / "out")
    holed = sorted({hole["block"] for hole in run_status(config.output).holes})
    done = run(config, retry_holes=True, on_stage=FailAt((holed[0],)))
    assert done.record.failed == {}
    assert sorted({h["block"] for h in run_status(config.output).holes}) == holed
    assert all_bytes(tmp_path / "out") == before
    assert verify(config.output) == []


def test_a_retry_that_is_stopped_goes_on(
    job: dict[str, Any], east: Path, mend: bytes, tmp_path: Path
) -> None:
    config = config_for(job, tmp_path / "out")
    run(config)
    east.write_bytes(mend)
    with pytest.raises(InterruptedRunError):
        run(config, retry_holes=True, executor=Stopping(1))
    done = run(config)
    assert done.record.holes == ()
    run(config_for(job, tmp_path / "fresh"))
    assert all_bytes(tmp_path / "out") == all_bytes(tmp_path / "fresh")


def test_layers_asked_before_are_told_of(
    job: dict[str, Any], east: Path, mend: bytes, tmp_path: Path
) -> None:
    class Notes(Reporter):
        said: ClassVar[list[str]] = []

        def note(self, text: str) -> None:
            self.said.append(text)

    config = config_for(job, tmp_path / "out")
    run(config)
    query(config.output, "birds", name="birds")
    run(config, reporter=Notes())
    assert not any("birds" in line for line in Notes.said)
    east.write_bytes(mend)
    done = run(config, retry_holes=True, reporter=Notes())
    assert "since birds was asked" in Notes.said[-1]
    assert done.concepts == ["waves", "birds"]


def test_other_imagery_is_refused(
    job: dict[str, Any], east: Path, mend: bytes, tmp_path: Path
) -> None:
    config = config_for(job, tmp_path / "out")
    run(config)
    before = all_bytes(tmp_path / "out")
    east.write_bytes(mend)
    west = Path("scenes/west.tif")
    west.write_bytes(west.read_bytes() + b"more")
    with pytest.raises(OutputMismatchError, match=r"source\.scenes"):
        run(config, retry_holes=True)
    assert all_bytes(tmp_path / "out") == before
    with pytest.raises(ConfigError, match="one of them"):
        run(config, retry_holes=True, overwrite=True)


def test_what_mending_explains() -> None:
    def identity(missing: list[str] | None = None, **sizes: int) -> dict[str, Any]:
        scenes = [{"file": f"{name}.tif", "bytes": size} for name, size in sizes.items()]
        about = {} if missing is None else {"missing": missing}
        source = {"scenes": scenes, "sampled_sha256": str(sizes), "nodata": 0, **about}
        return {"source": source, "grid": {"cell_m": 40}}

    parts = NamedParts({"scenes": "file"}, frozenset({"sampled_sha256", "missing"}))
    holes = ["/data/a.tif"]
    there = identity(a=1, b=2)
    assert is_mended(there, identity(a=9, b=2), holes, parts)
    assert is_mended(identity(["/data/a.tif"], b=2), identity(a=1, b=2), holes, parts)
    assert not is_mended(there, identity(a=9, b=3), holes, parts)
    assert not is_mended(there, identity(a=9, b=2, c=1), holes, parts)
    assert not is_mended(there, {**identity(a=9, b=2), "grid": {"cell_m": 80}}, holes, parts)
    assert not is_mended(there, identity(a=9, b=2), [], parts)
    assert not is_mended(there, identity(a=9, b=2), ["/data/z.tif"], parts)


def test_in_an_object_store(
    job: dict[str, Any],
    east: Path,
    mend: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve_s3() as server:
        use_s3(monkeypatch, server)
        config = config_for(job, f"s3://{new_bucket(server)}/maps")
        done = run(config)
        assert done.record.holes
        east.write_bytes(mend)
        seen = CountBlocks("read", tmp_path / "seen")
        done = run(config, retry_holes=True, on_stage=seen)
        assert 0 < seen.count.stat().st_size < BLOCKS
        assert done.record.holes == ()
        assert verify(config.output) == []
        run(config_for(job, tmp_path / "fresh"))
        assert object_bytes(done.folder) == result_bytes(tmp_path / "fresh")
        found = EmbeddingsStore.open(done.folder / "embeddings.zarr").attributes["identity"]
        west = next(s for s in found["source"]["scenes"] if s["file"] == "east.tif")
        assert west["bytes"] == len(mend)


def test_a_batch_tries_holes_again_when_asked(
    job: dict[str, Any], east: Path, mend: bytes, tmp_path: Path
) -> None:
    batch = {
        "output": str(tmp_path / "maps"),
        "regions": {"all": None},
        "sources": ["noise"],
        "models": [job["model"]],
        "queries": job["queries"],
        "defaults": {"grid": job["grid"], "patches": job["patches"], "device": "cpu"},
    }
    Path("batch.yaml").write_text(yaml.safe_dump(batch))

    def states() -> list[str]:
        runs = json.loads((tmp_path / "maps" / "batch.json").read_text())["runs"]
        return [one["state"] for one in runs]

    assert call("batch", "run", "batch.yaml") == 3
    east.write_bytes(mend)
    assert call("batch", "run", "batch.yaml", "--retry-holes") == 0
    assert states() == ["complete"]
    assert call("batch", "run", "batch.yaml") == 0
    assert states() == ["up to date"]
