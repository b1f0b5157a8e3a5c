"""Retrieval on a data set in the published schema, through real networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from fixtures_cli import call
from fixtures_models import TINY_HTSAT, TINY_META, write_model_folder
from fixtures_sounds import TILE_PX, sound_rows, write_sound_set
from PIL import Image

from s2s_map.datasets.schema import GEOSOUND
from s2s_map.datasets.writing import write_parquet
from s2s_map.evaluation.embedding import EmbeddedSet, SetSettings, embed_set, open_set
from s2s_map.evaluation.retrieval import Task, TaskRanks, rank_tasks
from s2s_map.evaluation.sound_sets import paired_differences
from s2s_map.evaluation.told import tellings
from s2s_map.models.registry import load_model
from s2s_map.scoring.retrieval import own_ranks

COUNT = 16


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"), raising=True
        )
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound_set(tmp_path_factory.mktemp("set"), train=0, val=4, test=COUNT)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = TINY_META.model_copy(update={"audio": TINY_HTSAT})
    return write_model_folder(tmp_path_factory.mktemp("model"), config)


def settings(data: Path, **changes: Any) -> SetSettings:
    return SetSettings(str(data), **{"tile_px": TILE_PX, "zooms": (1, 3), "batch": 5} | changes)


def embed(model: Path, how: SetSettings, folder: Path, which: Any = "on-off") -> EmbeddedSet:
    loaded = load_model(model)
    told = tellings(loaded.card.config.metadata, which)
    return embed_set(loaded, open_set(loaded, how), how, told, folder)


def test_vectors_are_those_of_the_model_alone(data: Path, model: Path, tmp_path: Path) -> None:
    how = settings(data)
    embedded = embed(model, how, tmp_path)
    assert embedded.hears == "mel"
    assert list(embedded.images) == [(1, "none"), (1, "all"), (3, "none"), (3, "all")]
    loaded = load_model(model)
    sample = open_set(loaded, how).read(7)
    assert sample.key == embedded.keys[7]  # type: ignore[union-attr]
    import torch

    pixels = sample.patch("sentinel", 3, loaded.input_px, TILE_PX)[None]  # type: ignore[union-attr]
    resolution = loaded.resolution_for(how.patch_m * 3)
    alone = loaded.embed_patches(torch.from_numpy(pixels), resolution)
    assert embedded.images[3, "none"][7] == pytest.approx(alone[0].numpy(), abs=1e-5)
    assert np.abs(embedded.images[3, "all"] - embedded.images[3, "none"]).max() > 1e-3
    text = loaded.embed_text(sample.audio_caption)  # type: ignore[union-attr,arg-type]
    assert embedded.texts[7] == pytest.approx(text, abs=1e-6)
    mel = loaded.audio_encoder.embed_mels(sample.mel[:1])  # type: ignore
    assert embedded.audio is not None
    assert embedded.audio[7] == pytest.approx(mel[0].numpy(), abs=1e-5)


def test_single_and_cumulative_metadata() -> None:
    fields = TINY_META.metadata
    assert list(tellings(fields, "each")) == [
        "none", "latlong", "month", "time", "asource", "tsource",
        "latlong+month", "latlong+month+time", "latlong+month+time+asource", "all",
    ]  # fmt: skip
    assert list(tellings(fields)) == ["none", "all"]
    assert tellings((), "each") == {"none": ()}


def test_tasks_and_leaks_by_hand() -> None:
    random = np.random.default_rng(0)

    def unit(n: int) -> Any:
        found = random.normal(size=(n, 6)).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    image, audio, text = unit(20), unit(20), unit(20)
    text[3] = 0
    captions = tuple(None if i == 3 else f"caption {i}" for i in range(20))
    embedded = EmbeddedSet(
        np.arange(20), tuple(map(str, range(20))), captions, {(1, "none"): image}, audio, text, (),
        "mel",
    )  # fmt: skip
    found = {one.task.name: one for one in rank_tasks(embedded)}
    assert [name for name, one in found.items() if one.task.leaks] == [
        "image -> audio + text",
        "audio + text -> image",
        "image + text -> audio",
    ]
    assert found["image -> audio"].ranks.tolist() == own_ranks(image, audio).tolist()
    rest = np.delete(np.arange(20), 3)
    assert found["text -> image"].ranks.tolist() == own_ranks(text[rest], image[rest]).tolist()
    both = audio[rest] + text[rest]
    both /= np.linalg.norm(both, axis=1, keepdims=True)
    assert found["audio + text -> image"].ranks == pytest.approx(own_ranks(both, image[rest]))
    some = np.array([1, 3, 9])
    subset = {one.task.name: one for one in rank_tasks(embedded, some)}
    assert subset["audio -> image"].ranks.tolist() == own_ranks(audio[some], image[some]).tolist()
    assert len(subset["image -> text"].ranks) == 2


def test_the_command_writes_a_report(data: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    code = call(
        "evaluate", "retrieval", "--model", model, "--data", data, "--zoom", "1,3",
        "--tile-px", TILE_PX, "--samples", 50, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert found["samples"] == found["captioned"] == COUNT
    assert found["hears"] == "mel"
    assert found["data"]["patch_m"] == 160.0
    assert len(found["results"]) == 2 * 2 * 7
    for one in found["results"]:
        assert one["caption_leaks"] == (" + text" in one["task"])
        assert set(one["metrics"]) == {"R@10%", "R@1", "R@5", "R@10", "median rank"}
    text = (out / "report.md").read_text()
    assert "## Retrieval with the ground-truth caption added, %" in text
    assert "no measure of retrieval" in text
    for name in ("recall.png", "examples.png"):
        assert f"({name})" in text
        with Image.open(out / name) as picture:
            assert picture.width > 400


def test_broken_rows_are_skipped_counted_and_listed(model: Path, tmp_path: Path) -> None:
    rows = sound_rows(COUNT)
    rows[2]["audio"] = {"bytes": b"no sound", "path": None}
    rows[5]["sentinel_image"] = {"bytes": b"no picture", "path": None}
    rows[6]["audio_caption"] = ""
    write_parquet(tmp_path / "test.parquet", rows, GEOSOUND)
    out = tmp_path / "report"
    code = call(
        "evaluate", "retrieval", "--model", model, "--data", tmp_path, "--tile-px", TILE_PX,
        "--gsd", 30, "--audio", "recording", "--samples", 20, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert found["hears"] == "recording"
    assert (found["samples"], found["captioned"]) == (COUNT - 2, COUNT - 3)
    assert [row["key"] for row in found["skipped"]] == [rows[2]["sample_id"], rows[5]["sample_id"]]
    assert "does not open as audio" in found["skipped"][0]["reason"]
    assert "does not decode" in found["skipped"][1]["reason"]


def test_bad_input_is_one_line(
    data: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*arguments: object) -> str:
        given = ["--model", model, "-o", tmp_path / "report", *arguments]
        code = call("evaluate", "retrieval", *given)
        said = capsys.readouterr().err.splitlines()
        assert code == 2
        assert not (tmp_path / "report").exists()
        return said[-1]

    said = refused("--data", data, "--split", "val", "--tile-px", TILE_PX)
    assert "4 usable samples in the split val are too few for R@10% (0 rows skipped)" in said
    table = pq.read_table(data / "data" / "test-00000-of-00001.parquet")
    pq.write_table(table.drop_columns(["mel_features", "latitude"]), tmp_path / "test.parquet")
    said = refused("--data", tmp_path)
    assert "lacks the columns latitude, mel_features" in said
    assert "googleEarth" in refused("--data", data, "--imagery", "googleEarth")
    assert "expected whole numbers such as 1,3,5" in refused("--data", data, "--zoom", "1,x")
    assert "--audio recording" in refused("--data", data, "--audio", "mel", "--model", "s2s-mini")


def test_two_models_on_the_same_samples(data: Path, model: Path, tmp_path: Path) -> None:
    from fixtures_models import TINY

    other = write_model_folder(
        tmp_path / "other", TINY.model_copy(update={"audio": TINY_HTSAT}), "other"
    )
    out = tmp_path / "report"
    code = call(
        "evaluate", "compare", model, other, "--data", data, "--tile-px", TILE_PX,
        "--samples", 40, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert found["samples"] == COUNT
    assert [one["task"] for one in found["results"]][:2] == ["image -> audio", "audio -> image"]
    for one in found["results"]:
        for sides in one["metrics"].values():
            expected = sides["first"]["value"] - sides["second"]["value"]
            assert sides["difference"]["value"] == pytest.approx(expected)
    assert "paired bootstrap" in (out / "report.md").read_text()


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    ranks = np.random.default_rng(0).integers(1, 30, 30).astype(float)
    one = TaskRanks(Task("image -> audio", 1, "none", False), ranks, np.arange(30))
    for sides in paired_differences(one, one, samples=30).values():
        assert (sides["difference"].low, sides["difference"].high) == (0, 0)
        assert sides["first"].low < sides["first"].high
