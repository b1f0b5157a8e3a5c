"""Batches that were halved, other threads and other devices: alike within the stated tolerance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures_cli import call
from fixtures_faults import FailAt, all_bytes
from fixtures_job import write_job
from fixtures_plain_model import write_plain_job

from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.embeddings.store import EmbeddingsStore
from s2s_map.errors import StoreError
from s2s_map.models.loaded import LoadedModel
from s2s_map.outputs.block_provenance import Making, makings_of
from s2s_map.outputs.disk_ledger import JournalLedger
from s2s_map.outputs.ledger import BlockRecord
from s2s_map.pipeline.job.run_record import read_record
from s2s_map.pipeline.verbs.compare_stores import TOLERANCE, compare
from s2s_map.pipeline.verbs.run import run
from s2s_map.pipeline.verbs.status import run_status


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfig:
    """A run of the real embedded model over noise."""
    job = write_job(
        tmp_path / "job",
        model="s2s-mini",
        device="cpu",
        batch_size=16,
        grid={"cell_m": 320, "block_cells": 8},
        patches={"stride_m": 1280},
    )
    monkeypatch.chdir(job.parent)
    return load_run_config(job)


def small_memory(monkeypatch: pytest.MonkeyPatch, patches: int, blocks: int) -> None:
    """Have the device hold so many patches, from its so many-th pass on."""
    import torch

    whole, passes = LoadedModel.embed_slots, [0]

    def embed_slots(self: LoadedModel, pixels: Any, *about: Any) -> Any:
        passes[0] += 1
        if passes[0] > blocks and len(pixels) > patches:
            raise torch.OutOfMemoryError("the device is full")
        return whole(self, pixels, *about)

    monkeypatch.setattr(LoadedModel, "embed_slots", embed_slots)


def test_halved_batches_and_other_threads_agree(
    mini: RunConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import torch

    def out(name: str) -> RunConfig:
        return mini.model_copy(update={"output": str(tmp_path / name)})

    run(out("whole"))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3 - min(threads, 2))
        run(out("threads"))
    finally:
        torch.set_num_threads(threads)
    with monkeypatch.context() as patch:
        small_memory(patch, patches=5, blocks=2)
        halved = run(out("halved"))
    for name in ("threads", "halved"):
        found = compare(tmp_path / "whole", tmp_path / name)
        assert found.whole, found
        assert found.tolerance == TOLERANCE["fp32"]
        assert found.largest <= found.tolerance
        assert found.least_cosine >= 0.9999
    # The run says which ways its blocks were made.
    sizes = {making.batch_size for making in halved.record.made_with}
    assert {4} < sizes <= {4, 16}
    written = json.loads((tmp_path / "halved" / "run.json").read_text())["made_with"]
    assert {making["batch_size"] for making in written} == sizes
    assert {making["device"] for making in written} == {"cpu"}
    assert all(making["hardware"] for making in written)
    assert read_record(tmp_path / "halved" / "run.json").made_with == halved.record.made_with
    assert sum(m.blocks for m in run_status(tmp_path / "halved").made_with) > 1
    capsys.readouterr()
    assert call("status", tmp_path / "halved") == 0
    assert "in batches of 4\n" in capsys.readouterr().out
    assert call("verify", tmp_path / "halved", "--against", tmp_path / "whole") == 0
    assert "within the tolerance" in " ".join(capsys.readouterr().out.split())


def test_what_is_further_apart_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write_plain_job(tmp_path / "job", blocks=2)
    monkeypatch.chdir(tmp_path / "job")
    one, two = (RunConfig(**{**job, "output": str(tmp_path / name)}) for name in ("one", "two"))
    run(one)
    run(two)
    found = compare(one.output, two.output)
    assert (found.same, found.close, found.whole) == (4, 0, True)
    assert all_bytes(tmp_path / "one") == all_bytes(tmp_path / "two")
    store = EmbeddingsStore.open(tmp_path / "two" / "embeddings.zarr")
    first, second, third, _ = store.grid.iter_blocks()
    ledger = JournalLedger(tmp_path / "two" / "ledger.jsonl", store=store.id)
    records = ledger.state().records

    def change(block: Any, values: Any) -> None:
        with ledger:
            checksum = store.write_block(block, values)
            crc = store.file_crc32(block)
            ledger.record(replace(records[block.key], checksum=checksum, file_crc32=crc))

    def turned(block: Any, by: float) -> Any:
        values = store.read_block(block)
        values[..., 0] += by
        return values

    change(first, turned(first, 0.002))
    change(second, turned(second, 0.02))
    gone = store.read_block(third)
    gone[tuple(np.argwhere(np.isfinite(gone[..., 0]))[0])] = np.nan
    change(third, gone)
    found = compare(one.output, two.output)
    assert (found.same, found.close) == (1, 1)
    assert set(found.apart) == {second.key, third.key}
    assert "are 0.02" in found.apart[second.key]
    assert "1 cells hold data in one of them only" in found.apart[third.key]
    assert found.largest == pytest.approx(0.02, rel=0.05)
    assert call("verify", one.output, "--against", two.output, "--json") == 3
    assert set(json.loads(capsys.readouterr().out)["apart"]) == {second.key, third.key}


def test_what_cannot_be_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = write_plain_job(tmp_path / "job", blocks=2)
    monkeypatch.chdir(tmp_path / "job")
    one, two, three = (
        RunConfig(**{**job, "output": str(tmp_path / name), **changes})
        for name, changes in (
            ("one", {}),
            ("two", {"patches": {"stride_m": 40}}),
            ("three", {}),
        )
    )
    run(one)
    run(two)
    run(three, on_stage=FailAt(("r000-c001",)))
    with pytest.raises(StoreError, match=r"different configs: patches\.stride_m: 80\.0 -> 40\.0"):
        compare(one.output, two.output)
    found = compare(one.output, three.output)
    assert (found.only_here, found.only_there, found.whole) == (["r000-c001"], [], False)
    with pytest.raises(StoreError, match="no embeddings store"):
        compare(one.output, tmp_path / "none")


def test_makings_are_counted() -> None:
    def record(key: str, batch_size: int, device: str = "cpu", patches: int = 9) -> BlockRecord:
        hardware = "AVX2" if device == "cpu" else "a GPU"
        return BlockRecord(
            key, "ab", patches, 4, 0.5, batch_size, device, threads=2, hardware=hardware
        )

    records = [record("a", 16), record("b", 8), record("c", 8), record("d", 8, "cuda")]
    made = makings_of([*records, record("e", 32, patches=0)])
    assert made[0] == Making("cpu", "AVX2", 2, 8, 2)
    assert sorted(making.blocks for making in made) == [1, 1, 2]
    assert str(made[0]) == "2 on cpu (AVX2) with 2 threads in batches of 8"
