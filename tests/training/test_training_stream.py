"""Training from a stream: which batches come, and from where they go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from fixtures_dataset_hub import dataset_hub
from fixtures_sounds import sound_rows, write_sound_set
from fixtures_training import LIGHTNING, MODEL, curve, values

from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.datasets.reading import open_dataset
from s2s_map.datasets.schema import GEOSOUND
from s2s_map.datasets.writing import write_parquet
from s2s_map.errors import DataError
from s2s_map.training.sound_batch import SoundBatch
from s2s_map.training.sound_data import wanted_for
from s2s_map.training.sound_stream import StreamedBatches, StreamedValidation
from s2s_map.training.text_features import TextFeatures

pytestmark = LIGHTNING

ROWS, FILE_ROWS, BATCH, BUFFER = 22, 5, 4, 9
BROKEN = "freesound-3"


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """22 rows in five files, one of them broken."""
    folder = tmp_path_factory.mktemp("streamed")
    rows = sound_rows(ROWS)
    rows[3]["sentinel_image"] = {"bytes": b"nothing", "path": None}
    for number, start in enumerate(range(0, ROWS, FILE_ROWS)):
        part = rows[start : start + FILE_ROWS]
        write_parquet(folder / f"train-{number:05d}-of-00005.parquet", part, GEOSOUND)
    return folder


def config(streamed: Path, output: Path) -> SoundTrainConfig:
    given = values(streamed, output, optimiser={"steps": 8, "batch": BATCH})
    given["dataset"] |= {"streaming": True, "buffer": BUFFER, "workers": 2}
    return SoundTrainConfig.model_validate(given)


def features(folder: Path) -> TextFeatures:
    from s2s_map.models.text.minilm import MiniLMTextEncoder

    made = TextFeatures(folder / "features")
    rows = sound_rows(ROWS)
    columns = ["audio_caption", *GEOSOUND.captions.values()]
    texts = (row[column] for row in rows for column in columns)
    made.add(MiniLMTextEncoder.load(MODEL.text), texts)  # type: ignore[arg-type]
    return made


def batches(streamed: Path, folder: Path, **how: Any) -> StreamedBatches:
    settings = config(streamed, folder / "out")
    rows = open_dataset(streamed, "train", wanted_for(settings), streaming=True)
    return StreamedBatches(settings, rows, features(folder), **how)


def same(one: SoundBatch, other: SoundBatch) -> bool:
    if (one.keys, one.number, one.place) != (other.keys, other.number, other.place):
        return False
    return all(torch.equal(one.tensors()[k], other.tensors()[k]) for k in one.tensors())


def test_each_turn_goes_once_through_the_set_in_another_order(
    streamed: Path, tmp_path: Path
) -> None:
    found = list(islice(batches(streamed, tmp_path), 10))
    assert [batch.number for batch in found] == list(range(10))
    # Windows of two batches, and what is left of a turn is less than a batch.
    assert [batch.place.batch for batch in found if batch.place] == [0, 0, 2, 2, 4, 5, 5, 7, 7, 9]
    for turn in (found[:5], found[5:]):
        met = [key for batch in turn for key in batch.keys]
        twice = {key for key in met if met.count(key) > 1}
        # The broken row's place is taken by its neighbour.
        assert len(met) == 20
        assert len(twice) <= 1
        assert BROKEN not in met
    assert [b.keys for b in found[:5]] != [b.keys for b in found[5:]]
    assert {row.key for batch in found for row in batch.skipped} == {BROKEN}


def test_any_batch_is_the_start_of_the_same_batches(streamed: Path, tmp_path: Path) -> None:
    whole = list(islice(batches(streamed, tmp_path), 12))
    for done in (1, 2, 5, 7, 8):
        # A checkpoint holds the place of the last batch it has seen.
        place = whole[done - 1].place
        later = islice(batches(streamed, tmp_path, start=done, place=place), 3)
        for one, other in zip(later, whole[done:], strict=False):
            assert same(one, other)


def test_devices_share_each_batch(streamed: Path, tmp_path: Path) -> None:
    whole = next(iter(batches(streamed, tmp_path)))
    shares = [next(iter(batches(streamed, tmp_path, rank=r, devices=2))) for r in (0, 1)]
    assert shares[0].keys + shares[1].keys == whole.keys
    assert torch.equal(torch.cat([share.pixels for share in shares]), whole.pixels)


def test_validation_is_in_order_without_broken_rows(streamed: Path, tmp_path: Path) -> None:
    settings = config(streamed, tmp_path / "out")
    rows = open_dataset(streamed, "train", wanted_for(settings), streaming=True)
    found = list(StreamedValidation(settings, rows, features(tmp_path)))
    keys = [key for batch in found for key in batch.keys]
    expected = [row["sample_id"] for row in sound_rows(ROWS) if row["sample_id"] != BROKEN]
    assert keys == expected
    assert [row.key for batch in found for row in batch.skipped] == [BROKEN]


def test_too_few_rows_for_a_batch_are_said(streamed: Path, tmp_path: Path) -> None:
    few = batches(streamed, tmp_path)
    few._config = few._config.model_copy(
        update={"optimiser": few._config.optimiser.model_copy(update={"batch": ROWS + 1})}
    )
    with pytest.raises(DataError, match=r"22 rows.*at least optimiser\.batch, 23"):
        next(iter(few))


@pytest.mark.slow  # a process that imports with the settings of a hub of its own
def test_a_set_on_the_hub_is_trained_on_without_a_copy(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "MVRL" / "GeoSound"
    write_sound_set(repository, train=8, val=4, test=0)
    (repository / "README.md").write_text("---\nlicense: other\n---\n")
    given = values(Path("MVRL/GeoSound"), tmp_path / "out", optimiser={"steps": 4, "batch": 4})
    given["dataset"] |= {"streaming": True, "buffer": 8}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(given))
    home = tmp_path / "home"
    with dataset_hub(tmp_path / "hub") as (address, seen):
        done = subprocess.run(
            [Path(sys.executable).with_name("s2s-map"), "train", tmp_path / "train.yaml"],
            env=os.environ
            | {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"},
            check=False, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr + "\n".join(seen)
    assert len(curve(tmp_path / "out")) == 4
    assert json.loads((tmp_path / "out" / "card.json").read_text())["name"] == "tiny-sounds"
    kept = [file for file in home.rglob("*") if file.suffix in (".parquet", ".arrow")]
    assert not kept
    largest = max((f.stat().st_size for f in home.rglob("*") if f.is_file()), default=0)
    assert largest < 100_000
