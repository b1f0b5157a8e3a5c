"""Time slots from the config to the files, with a tiny model that takes metadata."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from fixtures_job import write_job
from fixtures_models import TINY_META

from s2s_map.config.load import parse_model
from s2s_map.config.run import RunConfig, load_run_config
from s2s_map.errors import ConfigError, OutputMismatchError
from s2s_map.pipeline.job.job import resolve
from s2s_map.pipeline.verbs.plan import make_plan
from s2s_map.pipeline.verbs.query import query
from s2s_map.pipeline.verbs.run import run

SLOTS = {"time_slots": [{"month": 5, "hour": 13}, {"month": 12, "hour": 3}]}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slots")
    return write_job(
        folder, network=TINY_META, metadata={**SLOTS, "hour_reference": "utc"},
        patches={"stride_m": 640},
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _in_folder(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(job.parent)


@pytest.fixture(scope="module")
def finished(job: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(job.parent)
        return run(job).folder


def with_metadata(job: Path, told: dict[str, object] | None) -> RunConfig:
    config = load_run_config(job).model_dump(mode="json")
    return parse_model(RunConfig, {**config, "metadata": told}, "x")


def test_files_are_named_after_their_slot(finished: Path) -> None:
    names = sorted(path.name for path in finished.glob("waves*.tif"))
    assert names == ["waves_05-13h-utc.tif", "waves_12-03h-utc.tif"]
    values = []
    for name in names:
        with rasterio.open(finished / name) as maps:
            values.append(maps.read(2))
            assert maps.tags()["TIME_SLOT"] == name[6:-4]
            told = json.loads(maps.tags()["METADATA"])
    assert told["hour_reference"] == "utc"
    assert told["labels"] == ["05-13h-utc", "12-03h-utc"]
    assert np.nanmax(np.abs(values[0] - values[1])) > 1e-3


def test_maps_have_the_slots_as_their_time(finished: Path) -> None:
    with xr.open_zarr(finished / "maps.zarr") as maps:
        assert maps["time"].values.tolist() == ["05-13h-utc", "12-03h-utc"]
        assert maps["probability"].sel(concept="waves", time="12-03h-utc").notnull().any()
        assert maps.attrs["metadata"]["audio_source"] == "yfcc"
    record = json.loads((finished / "run.json").read_text())
    assert record["metadata"]["masked_tokens"] == "zero"


def test_a_query_answers_for_every_slot(finished: Path) -> None:
    assert query(finished, "a river").maps["probability"].sel(concept="a-river").shape[0] == 2
    assert len(list(finished.glob("a-river_*.tif"))) == 2


def test_other_metadata_are_other_embeddings(job: Path, finished: Path) -> None:
    with pytest.raises(OutputMismatchError, match=r"metadata\.hour_reference: utc -> solar"):
        run(with_metadata(job, SLOTS))
    with pytest.raises(OutputMismatchError, match=r"metadata\.caption_source: meta -> none"):
        run(with_metadata(job, {**SLOTS, "hour_reference": "utc", "caption_source": None}))


def test_the_plan_counts_slots(job: Path) -> None:
    two = make_plan(resolve(load_run_config(job)))
    one = make_plan(resolve(with_metadata(job, None)))
    assert (two.store_bytes, two.maps_bytes) == (2 * one.store_bytes, 2 * one.maps_bytes)
    assert two.patches == one.patches


def test_a_model_without_metadata_refuses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_job(tmp_path, metadata=SLOTS)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="trained without metadata; leave out metadata"):
        resolve(load_run_config(path))


def test_a_composed_query_tells_its_parts(finished: Path) -> None:
    opened = query(finished, "birds", texts=["crickets"], minus=["traffic"])
    about = opened.record.concepts["birds-crickets-minus-traffic"]
    assert about["title"] == "birds + crickets − traffic"
    assert [part["text"] for part in about["query"]["parts"]] == ["birds", "crickets", "traffic"]
    assert about["query"]["parts"][2]["minus"] is True
    assert about["query"]["composition"].startswith("unit(")
