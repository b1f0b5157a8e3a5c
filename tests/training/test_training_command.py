"""What ``s2s-map train`` says of bad input: one line that names it, and exit code 2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from fixtures_cli import call
from fixtures_sounds import sound_rows
from fixtures_training import LIGHTNING, values

from s2s_map.datasets.schema import GEOSOUND
from s2s_map.datasets.writing import write_parquet

pytestmark = LIGHTNING


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


def write_set(folder: Path, rows: list[dict[str, Any]]) -> Path:
    for split in ("train", "val"):
        write_parquet(folder / f"{split}.parquet", rows, GEOSOUND)
    return folder


def train(data: Path, folder: Path, **changes: Any) -> int:
    file = folder / "train.yaml"
    short = {"steps": 3, "batch": 6}
    given = values(data, folder / "out", **{"optimiser": short, "check_every": 3} | changes)
    file.write_text(yaml.safe_dump(given))
    return call("train", file)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command ends with."""
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    return errors[0]


def test_missing_columns_are_named_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = sound_rows(6)
    for row in rows:
        del row["mel_features"], row["llava_caption_sentinel_zl3"]
    data = write_set(tmp_path / "set", rows)
    assert train(data, tmp_path) == 2
    assert "lacks the columns llava_caption_sentinel_zl3, mel_features" in said(capsys)
    assert not (tmp_path / "out").exists()


def test_broken_rows_are_skipped_and_listed(tmp_path: Path) -> None:
    rows = sound_rows(9)
    rows[2]["mel_features"] = np.zeros_like(rows[2]["mel_features"])
    rows[5]["sentinel_image"] = {"bytes": b"nothing", "path": None}
    assert train(write_set(tmp_path / "set", rows), tmp_path) == 0
    listed = json.loads((tmp_path / "out" / "skipped.json").read_text())
    reasons = {row["key"]: row["reason"] for row in listed}
    assert reasons.keys() == {"aporee-2", "iNat-5"}
    assert "does not decode" in reasons["iNat-5"]


def test_a_loss_that_is_no_number_stops_and_keeps_the_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path / "set", sound_rows(6))
    hot = {"steps": 30, "batch": 6, "rate": 1e3, "clip": 1e9}
    assert train(data, tmp_path, optimiser=hot) == 2
    assert "training diverged at step" in said(capsys)
    kept = torch.load(tmp_path / "out" / "bad_batch.pt", weights_only=True)
    assert sorted(kept["keys"]) == sorted(row["sample_id"] for row in sound_rows(6))
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_folder_of_another_training_is_refused_and_a_longer_one_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_set(tmp_path / "set", sound_rows(6))
    assert train(data, tmp_path) == 0
    given = values(data, tmp_path)["model"]
    wider = given | {"codebook": given["codebook"] | {"size": 32}}
    assert train(data, tmp_path, model=wider) == 2
    assert "space_dict (64, 32) instead of (32, 32)" in said(capsys)
    assert train(data, tmp_path, optimiser={"steps": 3, "batch": 6, "rate": 1e-2}) == 2
    assert "another optimiser.rate" in said(capsys)
    assert train(data, tmp_path, optimiser={"steps": 6, "batch": 6}) == 0
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["training"]["summary"].startswith("6 steps")


def test_the_embedded_models_config_says_where_it_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mini.yaml"
    file.write_text("name: a\nscenes: []\n")
    assert call("train", file) == 2
    assert f"python workflows/mini train {file}" in said(capsys)
