"""Data that a run puts late, which has lost its prefix, is never taken for that of the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures_faults import CountBlocks, result_bytes
from fixtures_objects import new_bucket, object_bytes, serve_s3, use_s3
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig
from s2s_map.embeddings.sealed import DamagedBlocksError
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import OutputUnavailableError, StoreError
from s2s_map.outputs.path import ObjectPath
from s2s_map.pipeline.verbs.open_run import open_run
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import verify

BLOCKS = 16
SHARDS = "embeddings.zarr/embedding/c/0"


class PutLate:
    """Puts an object as the nth block is about to be recorded, as a run that was paused."""

    def __init__(self, nth: int, path: ObjectPath, data: bytes) -> None:
        self._nth, self._path, self._data = nth, path, data
        self._count, self._lock = 0, threading.Lock()

    def __call__(self, stage: str, block: Any) -> None:
        with self._lock:
            self._count += stage == "record"
            if stage == "record" and self._count == self._nth:
                self._path.write_bytes(self._data)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_s3() as url:
        yield url


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> dict[str, Any]:
    config = write_plain_job(tmp_path / "job", blocks=4)
    monkeypatch.chdir(tmp_path / "job")
    use_s3(monkeypatch, server)
    return config


@pytest.fixture
def root(job: dict[str, Any], server: str) -> ObjectPath:
    return ObjectPath(f"s3://{new_bucket(server)}", "maps")


def config_for(job: dict[str, Any], out: object, **changes: Any) -> RunConfig:
    return RunConfig(**{**job, "output": str(out), **changes})


def test_data_of_a_displaced_run_does_not_get_into_the_maps(
    job: dict[str, Any], root: ObjectPath, tmp_path: Path
) -> None:
    shard = root / SHARDS / "0/0/0"
    other = root / "other"
    run(config_for(job, other, patches={"stride_m": 40}))
    # Of another config, and of another block, as this one's happens to be alike.
    late = (other / SHARDS / "3/3/0").read_bytes()
    other.remove_tree()
    config = config_for(job, root)
    with pytest.raises(OutputUnavailableError, match="r000-c000, hold data that another run put"):
        run(config, on_stage=PutLate(BLOCKS, shard, late))
    # Nobody has seen maps of it.
    with pytest.raises(StoreError, match="no finished run"):
        open_run(str(root))
    seen = CountBlocks("read", tmp_path / "seen")
    run(config, on_stage=seen)
    assert seen.count.stat().st_size == 1
    assert verify(str(root)) == []
    run(config_for(job, tmp_path / "fresh"))
    assert object_bytes(root) == result_bytes(tmp_path / "fresh")
    # What --overwrite begins has a place of its own: late data does not fall into it.
    run(config, overwrite=True, on_stage=PutLate(BLOCKS, shard, late))
    assert object_bytes(root) == result_bytes(tmp_path / "fresh")


def test_data_that_is_put_after_a_run_is_found(
    job: dict[str, Any], root: ObjectPath, tmp_path: Path
) -> None:
    config = config_for(job, root)
    done = run(config)
    before = object_bytes(root)
    # The same bytes once more do not matter.
    shard = root / SHARDS / "1/2/0"
    shard.write_bytes(shard.read_bytes())
    query(str(root), "birds")
    shard.write_bytes((root / SHARDS / "3/3/0").read_bytes())
    with pytest.raises(
        DamagedBlocksError, match=r"r001-c002 .* holds other data than was recorded"
    ):
        query(str(root), "rain")
    assert [bad.block for bad in verify(str(root))] == ["r001-c002"]
    shard.unlink()
    assert [bad.block for bad in verify(str(root))] == ["r001-c002"]
    seen = CountBlocks("read", tmp_path / "seen")
    again = run(config, on_stage=seen)
    assert seen.count.stat().st_size == 1
    assert done.concepts == ["waves"]
    assert again.concepts == ["waves", "birds"]
    shards = {name: data for name, data in before.items() if name.startswith("embeddings")}
    assert shards.items() <= object_bytes(root).items()


def test_markers_hold_the_e_tag_of_their_data(job: dict[str, Any], root: ObjectPath) -> None:
    folder = run(config_for(job, root)).folder
    store = EmbeddingsStore.open(folder / "embeddings.zarr")
    blocks = list(store.grid.iter_blocks())
    assert store.e_tags() == {b.key: store.e_tag(b) for b in blocks if store.shard(b).exists()}
    assert len(set(store.e_tags().values())) == len(blocks)
