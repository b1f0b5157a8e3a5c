"""Overviews of runs: written, added, verified and made again, in folders and object stores."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from fixtures_faults import CountBlocks, FailAt, all_bytes, stop_after
from fixtures_objects import new_bucket, serve_s3, use_s3
from fixtures_overviews import exact_means
from fixtures_plain_model import write_plain_job

from s2s_map.cli.main import main
from s2s_map.config.run import RunConfig
from s2s_map.embeddings.opening import open_embeddings, open_ledger
from s2s_map.embeddings.overview_arrays import levels_of
from s2s_map.embeddings.overview_schema import overviews_group
from s2s_map.embeddings.overview_sealed import DamagedOverviewError
from s2s_map.embeddings.overview_state import wanted_shards, with_blocks_seals
from s2s_map.embeddings.overviews import open_levels
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import InterruptedRunError, OutputError, StoreError
from s2s_map.outputs.output import open_output
from s2s_map.outputs.overview_seals import checksums, read_seals
from s2s_map.outputs.path import ObjectPath
from s2s_map.pipeline.embed.overviews import BlockOverviewsTask, ShardTask
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.compare_stores import compare
from s2s_map.pipeline.verbs.overviews import add_overviews
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status, verify
from s2s_map.pipeline.verbs.verify_overviews import BadOverview, verify_overviews

OVERVIEWS = "embeddings.zarr/overviews"
LEVELS = [1, 2, 4, 8]
"""Level 2 is written with the blocks of 64 cells, the others are made from it."""


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes:
        config: Its config, of another output.
        folder: Its output.
        files: Every byte that another run of it writes, too.
    """

    config: dict[str, Any]
    folder: Path
    files: dict[str, bytes]

    def copy(self, out: Path, **changes: Any) -> RunConfig:
        shutil.copytree(self.folder, out)
        return self.config_for(out, **changes)

    def config_for(self, out: Path | ObjectPath, **changes: Any) -> RunConfig:
        return RunConfig(**{**self.config, "output": str(out), **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("finished")
    config = write_plain_job(folder, 2, 64, patches={"stride_m": 280}, overviews=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(RunConfig(**{**config, "output": "out"}))
        yield Finished(config, folder / "out", all_bytes(folder / "out"))


@pytest.fixture(autouse=True)
def where(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder.parent)


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main([*arguments])
    return int(end.value.code or 0)


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def factors(out: object) -> list[int]:
    return [level.factor for level in open_levels(out)]  # type: ignore[arg-type]


def test_a_run_writes_them(finished: Finished) -> None:
    levels = open_levels(finished.folder)
    assert [level.factor for level in levels] == LEVELS
    stored = levels[0].read(slice(0, 128), slice(0, 128))[0]
    holes = np.where(stored.any(axis=-1, keepdims=True), stored, np.float16(np.nan))
    assert np.isnan(holes).any()
    for level in levels:
        means, counts, _ = exact_means(holes, level.factor)
        ny, nx = level.geobox.shape
        vectors, there = level.read(slice(0, ny), slice(0, nx))
        np.testing.assert_array_equal(there, counts)
        # Numbers up to 1 are rounded three times, each by at most half of 2**-11.
        np.testing.assert_allclose(vectors, means, atol=3 * 2.0**-12 + 1e-6)
    record = json.loads((finished.folder / "run.json").read_text())
    assert (record["counts"]["overview_levels"], record["counts"]["overview_shards"]) == (3, 6)
    assert record["timings_s"]["overviews"] > 0
    assert verify(finished.folder) == []
    assert verify_overviews(finished.folder) == []


def test_of_an_output_its_path_and_its_store(finished: Finished) -> None:
    for where in (str(finished.folder), open_output(finished.folder)):
        assert factors(where) == LEVELS
    assert factors(open_embeddings(finished.folder)) == LEVELS
    assert factors(EmbeddingsStore.open(finished.folder / "embeddings.zarr")) == LEVELS
    with pytest.raises(StoreError, match="no embeddings store"):
        open_levels(finished.folder / "nothing")


def test_the_same_run_again_makes_nothing(finished: Finished, tmp_path: Path) -> None:
    config = finished.copy(tmp_path / "out")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / OVERVIEWS).rglob("*")}
    run(config)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / OVERVIEWS).rglob("*")} == times
    assert all_bytes(tmp_path / "out") == finished.files


def test_they_are_added_to_an_output_without(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    done = run(finished.config_for(out, overviews=0))
    assert done.record.counts["overview_levels"] == 0
    assert not (out / OVERVIEWS).exists()
    assert factors(out) == [1]
    before, status = dict(all_bytes(out)), run_status(out)
    assert ended("overviews", str(out)) == 0
    assert "it takes no overviews" in capsys.readouterr().out
    assert all_bytes(out) == before
    assert ended("overviews", str(out), "--cells", "16") == 0
    # Four blocks, and a shard of each level above.
    assert "3 levels of 6 shards, 6 made now" in capsys.readouterr().out
    after = all_bytes(out)
    assert {name: after[name] for name in finished.files if name.startswith("embeddings")} == {
        name: content for name, content in finished.files.items() if name.startswith("embeddings")
    }
    # What the run did is told as before.
    assert run_status(out).patches_done == status.patches_done
    assert run_status(out).state == "complete"
    assert ended("overviews", str(out)) == 0
    assert "3 levels of 6 shards, 0 made now" in capsys.readouterr().out
    assert ended("overviews", str(out), "--cells", "8") == 2
    assert "has overviews with cells of up to 8 x 8; expected 16 x 16" in said(capsys)
    assert ended("verify", str(out)) == 0
    assert query(out, "birds").concepts == ["waves", "birds"]
    assert compare(out, finished.folder).same == 4


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return " ".join((captured.out + captured.err).split())


def test_what_is_no_output_is_one_line(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("overviews", str(tmp_path / "none")) == 2
    assert "no embeddings store at" in said(capsys)
    assert not (tmp_path / "none").exists()
    finished.copy(tmp_path / "out")
    with open_output(tmp_path / "out").locked(), pytest.raises(OutputError, match="another run"):
        add_overviews(tmp_path / "out")


@pytest.mark.parametrize(
    ("part", "named"),
    [
        ("2/embedding/c/0/1/0/0", "r001-c000 of overview 2: its files have another CRC-32"),
        ("2/counts/c/0/0/1", "r000-c001 of overview 2: its files have another CRC-32"),
        ("8/embedding/c/0/0/0/0", "r000-c000 of overview 8: its files have another CRC-32"),
    ],
)
def test_damage_is_named_and_repaired(
    part: str, named: str, finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    finished.copy(out)
    flipped(out / OVERVIEWS / part)
    capsys.readouterr()
    assert ended("verify", str(out)) == 3
    told = said(capsys)
    assert named in told
    assert "4 of 4 needed blocks verified" in told
    assert "overviews are bad at 1 place; s2s-map overviews" in told
    assert ended("verify", str(out), "--json") == 3
    (bad,) = json.loads(capsys.readouterr().out)["bad_overviews"]
    assert bad["factor"] == int(part[0])
    shutil.copytree(out, tmp_path / "other")
    assert ended("verify", str(out), "--repair") == 0
    assert all_bytes(out) == finished.files
    assert ended("overviews", str(tmp_path / "other")) == 0
    assert all_bytes(tmp_path / "other") == finished.files


def test_what_is_gone_is_named(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    finished.copy(out)
    (out / OVERVIEWS / "seals.json").unlink()
    assert factors(out) == [1, 2]
    # What is above it is not to be had without.
    assert verify_overviews(out) == [BadOverview(4, "r000-c000", "is not made yet")]
    assert add_overviews(out).made == 2
    assert all_bytes(out) == finished.files
    (out / OVERVIEWS / "4/embedding/c/0/0/0/0").unlink()
    with pytest.raises(DamagedOverviewError, match="its data is missing; make it again with"):
        open_levels(out)[2].read(slice(0, 2), slice(0, 2))


def test_a_damaged_block_is_embedded_anew_and_all_is_as_it_was(
    finished: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    config = finished.copy(out)
    flipped(out / "embeddings.zarr/embedding/c/0/1/1/0")
    (out / OVERVIEWS / "2/embedding/c/0/1/1/0").unlink()
    # It needs the block.
    assert ended("overviews", str(out)) == 2
    assert "block r001-c001 of" in said(capsys)
    run(config)
    assert all_bytes(out) == finished.files


def test_a_block_that_failed_comes_later(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = finished.config_for(out)
    run(config, on_stage=FailAt(("r000-c001",)))
    assert factors(out) == LEVELS
    assert verify_overviews(out) == []
    assert not open_levels(out)[3].read(slice(0, 8), slice(8, 16))[1].any()
    run(config)
    assert all_bytes(out) == finished.files


def test_damaged_metadata_of_levels_are_written_anew(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = finished.copy(out)
    for name in ("overviews/4/embedding/zarr.json", "overviews/2/x/c/0", "zarr.json"):
        (out / "embeddings.zarr" / name).write_bytes(b"{")
        seen = CountBlocks("read", tmp_path / "seen")
        run(config, on_stage=seen)
        assert not seen.count.exists()
        assert all_bytes(out) == finished.files


def test_a_run_that_is_stopped_goes_on(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = finished.config_for(out)
    with pytest.raises(InterruptedRunError, match="while the overviews were made"):
        run(config, executor=stop_after("ShardTask", 1))
    assert factors(out) == [1, 2, 4]
    # That of a run which has not ended.
    assert verify_overviews(out) == []
    with pytest.raises(InterruptedRunError, match="blocks done"):
        run(finished.config_for(tmp_path / "two"), executor=stop_after("EmbedTask", 2))
    for one in (out, tmp_path / "two"):
        run(finished.config_for(one))
        assert all_bytes(one) == finished.files


def test_tasks_travel(finished: Finished, tmp_path: Path) -> None:
    finished.copy(tmp_path / "out")
    store = open_embeddings(tmp_path / "out")
    task = pickle.loads(pickle.dumps(BlockOverviewsTask(store)))  # noqa: S301
    block = store.grid.block(1, 0)
    state = open_ledger(tmp_path / "out").state()
    assert task(block, Event()) == state.records["r001-c000"].overviews
    below = with_blocks_seals(2, state)
    level = levels_of(store)[1]
    held = checksums(below, below)
    (shard,) = wanted_shards(level, store.grid, levels_of(store)[0], held)
    above = pickle.loads(pickle.dumps(ShardTask(store, 1, below)))  # noqa: S301
    assert above(shard, Event()) == read_seals(overviews_group(store))[4]["r000-c000"]


def test_overwrite_replaces_them(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(finished.copy(out, patches={"stride_m": 140}, overviews=32), overwrite=True)
    assert factors(out) == LEVELS[:-1]
    assert verify_overviews(out) == []
    assert not (out / OVERVIEWS / "8").exists()


def test_the_plan_counts_them(finished: Finished) -> None:
    plan = make_plan(resolve(finished.config_for(finished.folder)))
    # A vector of eight numbers and a count.
    assert plan.overviews_bytes == (64**2 + 32**2 + 16**2) * (8 * 2 + 4)
    assert make_plan(resolve(finished.config_for("x", overviews=0))).overviews_bytes == 0
    assert ended("plan", str(finished.folder.parent / "job.yaml")) == 0


def object_files(root: ObjectPath) -> dict[str, bytes]:
    place = root / OVERVIEWS
    return {str(p.relative_to(place)): p.read_bytes() for p in place.files()}


# A server, and five runs and additions.
@pytest.mark.slow
def test_an_object_store_likewise(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = finished.folder / OVERVIEWS
    local = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    del local["seals.json"]
    with serve_s3() as server:
        use_s3(monkeypatch, server)
        root = ObjectPath(f"s3://{new_bucket(server)}", "maps/out")
        run(finished.config_for(root))
        assert {k: v for k, v in object_files(root).items() if k != "seals.json"} == local
        seals = (root / OVERVIEWS / "seals.json").read_bytes()
        assert factors(root) == factors(str(root)) == LEVELS
        assert verify_overviews(str(root)) == []
        levels, others = open_levels(root), open_levels(finished.folder)
        for level, other in zip(levels, others, strict=True):
            window = slice(3, level.geobox.shape[0]), slice(0, 9)
            for one, two in zip(level.read(*window), other.read(*window), strict=True):
                np.testing.assert_array_equal(one, two)
        for part in ("2/counts/c/0/1/1", "4/embedding/c/0/0/0/0"):
            data = bytearray((root / OVERVIEWS / part).read_bytes())
            data[len(data) // 2] ^= 1
            (root / OVERVIEWS / part).write_bytes(bytes(data))
        assert {bad.factor for bad in verify_overviews(str(root))} == {2, 4}
        with pytest.raises(DamagedOverviewError, match="its objects have other e_tags"):
            open_levels(root)[2].read(slice(0, 9), slice(0, 9))
        rate = run_status(str(root)).patches_done
        add_overviews(str(root))
        assert run_status(str(root)).patches_done == rate
        assert {k: v for k, v in object_files(root).items() if k != "seals.json"} == local
        assert (root / OVERVIEWS / "seals.json").read_bytes() == seals
        assert verify_overviews(str(root)) == []
        # A copy on a disk has no e_tags: its values are compared.
        for path in (root / "embeddings.zarr").files():
            path.download(tmp_path / "copy" / str(path.relative_to(root)))
        records = open_ledger(root).state().records
        with open_ledger(tmp_path / "copy") as ledger:
            for record in records.values():
                ledger.record(record)
        for level, other in zip(open_levels(tmp_path / "copy"), others, strict=True):
            window = slice(0, level.geobox.shape[0]), slice(0, 9)
            np.testing.assert_array_equal(level.read(*window)[0], other.read(*window)[0])
        flipped(tmp_path / "copy" / OVERVIEWS / "2/counts/c/0/1/1")
        with pytest.raises(DamagedOverviewError, match="r001-c001: cannot read"):
            open_levels(tmp_path / "copy")[1].read(slice(0, 64), slice(0, 64))
        bare = ObjectPath(root.bucket, "bare")
        run(finished.config_for(bare, overviews=0))
        assert add_overviews(str(bare), cells=16).made == 6
        assert {k: v for k, v in object_files(bare).items() if k != "seals.json"} == local
        # With new embeddings the old ones go, with all that is theirs.
        run(
            finished.config_for(bare, patches={"stride_m": 140}, overviews=0),
            overwrite=True,
        )
        query(str(bare), "birds")
        assert object_files(bare) == {}
