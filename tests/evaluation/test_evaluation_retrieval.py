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
from s2s_map.errors import ModelError
from s2s_map.evaluation import retrieval
from s2s_map.evaluation.embedding import (
    Captions,
    EmbeddedSet,
    SetSettings,
    embed_set,
    open_set,
)
from s2s_map.evaluation.evaluated_model import checked_vector, embed_pixels
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
    assert embedded.captions.vectors[7] == pytest.approx(text, abs=1e-5)
    seen = sample.image_captions["sentinel", 3]  # type: ignore[union-attr]
    assert "seen at zoom 3" in seen
    assert embedded.image_captions[3].texts[7] == seen
    assert embedded.image_captions[3].vectors[7] == pytest.approx(loaded.embed_text(seen), abs=1e-5)
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


def unit(n: int, seed: int) -> Any:
    found = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def captions_of(vectors: Any, *without: int) -> Captions:
    vectors = vectors.copy()
    vectors[list(without)] = 0
    return Captions(
        tuple(None if i in without else f"caption {i}" for i in range(len(vectors))), vectors
    )


def added(one: Any, other: Any) -> Any:
    found = one + other
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_tasks_by_hand() -> None:
    image, audio, text = unit(20, 0), unit(20, 1), captions_of(unit(20, 2), 3)
    far, seen = unit(20, 3), captions_of(unit(20, 4), 0, 19)
    embedded = EmbeddedSet(
        np.arange(20), tuple(map(str, range(20))), {(1, "none"): image, (3, "none"): far}, audio,
        text, {3: seen}, (), "mel",
    )  # fmt: skip
    found = {(one.task.name, one.task.zoom): one for one in rank_tasks(embedded)}
    rest, described = np.delete(np.arange(20), 3), np.arange(1, 19)
    both = added(audio[rest], text.vectors[rest])
    expected = {
        "image -> audio": (image, audio),
        "audio -> image": (audio, image),
        "image -> audio caption": (image[rest], text.vectors[rest]),
        "audio caption -> image": (text.vectors[rest], image[rest]),
        "image -> audio + caption": (image[rest], both),
        "audio + caption -> image": (both, image[rest]),
        "image + caption -> audio": (added(image[rest], text.vectors[rest]), audio[rest]),
    }
    assert [name for name, zoom in found if zoom == 1] == list(expected)
    for name, sides in expected.items():
        assert found[name, 1].ranks == pytest.approx(own_ranks(*sides)), name
        assert found[name, 1].task.leaks == ("+ caption" in name)
        assert (name, 3) in found
    # The image's own caption: only of the zoom that has captions, and of samples that have one.
    there = own_ranks(far[described], seen.vectors[described])
    back = own_ranks(seen.vectors[described], far[described])
    assert found["image -> LLaVA caption", 3].ranks == pytest.approx(there)
    assert found["LLaVA caption -> image", 3].ranks == pytest.approx(back)
    assert found["LLaVA caption -> image", 3].samples.tolist() == described.tolist()
    assert len(found) == 7 + 9
    assert {one.task.kind for one in found.values() if "LLaVA" in one.task.name} == {
        "image caption"
    }
    some = np.array([1, 3, 9, 19])
    subset = {one.task.name: one for one in rank_tasks(embedded, some)}
    assert subset["audio -> image"].ranks.tolist() == own_ranks(audio[some], far[some]).tolist()
    assert len(subset["image -> audio caption"].ranks) == 3
    assert subset["image -> LLaVA caption"].samples.tolist() == [1, 3, 9]


def test_adding_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, index = unit(20, 0), unit(20, 1), np.array([3, 4, 7, 11, 19])
    monkeypatch.setattr(retrieval, "_BLOCK", 2)
    assert retrieval._added(one, other, index) == pytest.approx(
        added(one[index], other[index]), abs=1e-6
    )


PLAIN_TASKS = {
    "image -> audio",
    "audio -> image",
    "image -> audio caption",
    "audio caption -> image",
}
IMAGE_CAPTION_TASKS = {"image -> LLaVA caption", "LLaVA caption -> image"}
LEAKING_TASKS = {
    "image -> audio + caption", "audio + caption -> image", "image + caption -> audio"
}  # fmt: skip


def test_the_command_reaches_every_combination(data: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    code = call(
        "evaluate", "retrieval", "--model", model, "--data", data, "--zoom", "1,3,5",
        "--metadata", "each", "--tile-px", TILE_PX, "--samples", 2, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    told = tellings(TINY_META.metadata, "each")
    assert found["metadata"] == {name: list(fields) for name, fields in told.items()}
    wanted = {
        (task, zoom, name)
        for task in PLAIN_TASKS | IMAGE_CAPTION_TASKS | LEAKING_TASKS
        for zoom in (1, 3, 5)
        for name in told
    }
    got = [(one["task"], one["zoom"], one["metadata"]) for one in found["results"]]
    assert len(got) == len(wanted) == 9 * 3 * 10
    assert set(got) == wanted
    # Each is what the model itself gives: no combination stands for another.
    embedded = embed(model, settings(data, zooms=(1, 3, 5)), tmp_path, "each")
    by_hand = {
        (one.task.name, one.task.zoom, one.task.told): float(np.median(one.ranks))
        for one in rank_tasks(embedded)
    }
    for one, key in zip(found["results"], got, strict=True):
        assert one["metrics"]["median rank"]["value"] == by_hand[key]
    assert len({embedded.images[key].tobytes() for key in embedded.images}) == 3 * 10
    for which, names in (("none", {"none"}), ("all", {"all"}), ("on-off", {"none", "all"})):
        code = call(
            "evaluate", "retrieval", "--model", model, "--data", data, "--metadata", which,
            "--no-image-captions", "--tile-px", TILE_PX, "--samples", 2, "-o", out,
        )  # fmt: skip
        assert code == 0
        found = json.loads((out / "report.json").read_text())
        assert {one["metadata"] for one in found["results"]} == names
        assert {one["task"] for one in found["results"]} == PLAIN_TASKS | LEAKING_TASKS


def test_sets_without_image_captions(model: Path, tmp_path: Path) -> None:
    rows = sound_rows(COUNT)
    for row in rows:
        del row["llava_caption_sentinel_zl3"]
    for row in rows[2:]:
        row["llava_caption_sentinel_zl5"] = " "
    write_parquet(tmp_path / "test.parquet", rows, GEOSOUND)
    out = tmp_path / "report"
    code = call(
        "evaluate", "retrieval", "--model", model, "--data", tmp_path, "--tile-px", TILE_PX,
        "--zoom", "1,3,5", "--metadata", "none", "--samples", 20, "-o", out,
    )  # fmt: skip
    assert code == 0
    found = json.loads((out / "report.json").read_text())
    assert found["image_captioned"] == {"1": COUNT, "5": 2}
    described = {one["zoom"] for one in found["results"] if one["kind"] == "image caption"}
    # Two captions are too few to be ranked; of zoom 3 there are none.
    assert described == {1}


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
    assert len(found["results"]) == 2 * 2 * 9
    for one in found["results"]:
        assert one["caption_leaks"] == (one["task"] in LEAKING_TASKS)
        assert set(one["metrics"]) == {"R@10%", "R@1", "R@5", "R@10", "median rank"}
    text = (out / "report.md").read_text()
    parts = dict(part.split("\n", 1) for part in text.split("## ")[1:])
    assert {title: part.count("\n| ") - 2 for title, part in parts.items()} == {
        "Retrieval, %": 2 * 2 * 4,
        "Retrieval of the caption that a vision-language model wrote of the image, %": 2 * 2 * 2,
        "Retrieval with the ground-truth caption added, %": 2 * 2 * 3,
    }
    assert "no measure of retrieval" in text
    assert "asource and tsource in the metadata tell of the recording" in text
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


def test_vectors_that_are_none(data: Path) -> None:
    model: Any = load_model("s2s-mini")

    class Odd:
        name, dim, takes_arrays = "odd", 4, True

        def __init__(self, vectors: Any) -> None:
            self.vectors = np.asarray(vectors)

        def resolution_for(self, patch_m: float) -> float:
            return patch_m

        def embed_slots(self, *_: Any) -> Any:
            return [self.vectors]

    def given(vectors: Any) -> Any:
        odd: Any = Odd(vectors)
        return embed_pixels(odd, np.zeros((2, 3, 8, 8), np.uint8), 10.0, [None])[0]

    assert given(np.full((2, 4), 0.5, np.float16)).dtype == np.float32
    with pytest.raises(ModelError, match="odd gave vectors of patches of length 2 to 2"):
        given(np.ones((2, 4)))
    for wrong in (np.full((2, 4), np.nan), np.full((2, 3), 0.5)):
        with pytest.raises(ModelError, match="odd gave vectors of patches of shape"):
            given(wrong)
    with pytest.raises(ModelError, match="s2s-mini gave a vector of length 0 to 0"):
        checked_vector(model, np.zeros(model.dim))


def test_two_models_on_the_same_samples(data: Path, model: Path, tmp_path: Path) -> None:
    from fixtures_models import TINY

    other = write_model_folder(
        tmp_path / "other", TINY.model_copy(update={"audio": TINY_HTSAT}), "other"
    )
    out = tmp_path / "report"
    code = call(
        "evaluate", "compare-models", model, other, "--data", data, "--tile-px", TILE_PX,
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
    one = TaskRanks(Task("image -> audio", 1, "none"), ranks, np.arange(30))
    for sides in paired_differences(one, one, samples=30).values():
        assert (sides["difference"].low, sides["difference"].high) == (0, 0)
        assert sides["first"].low < sides["first"].high
