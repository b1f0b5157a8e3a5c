"""Transfer to labelled sets: real pictures and sounds in the layouts of torchgeo and BirdCLEF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fixtures_cli import call
from fixtures_labelled import (
    COUNTS,
    write_birdclef,
    write_eurosat,
    write_resisc45,
    write_ucmerced,
)
from fixtures_models import TINY, TINY_HTSAT, write_model_folder
from fixtures_plain_model import MODEL as PLAIN
from numpy.typing import NDArray

from s2s_map.evaluation.labelled import LabelledVectors
from s2s_map.evaluation.transfer import (
    MOST_ITERATIONS,
    NEIGHBOURS,
    STRENGTHS,
    _unseen,
    linear_probe,
    nearest_neighbours,
    zero_shot,
)
from s2s_map.scoring.classification import classification_metrics


def transfer(name: str, root: Path, out: Path, model: object, *more: object) -> Any:
    code = call(
        "evaluate", "transfer", "--model", model, "--data", name, "--root", root,
        "--samples", 30, "-o", out, *more,
    )  # fmt: skip
    assert code == 0
    return json.loads((out / "report.json").read_text())


@pytest.mark.parametrize(
    ("name", "write", "classes"),
    [
        ("eurosat", write_eurosat, ["forest", "residential", "sea lake"]),
        ("ucmerced", write_ucmerced, ["denseresidential", "forest", "river"]),
        ("resisc45", write_resisc45, ["dense residential", "forest", "lake"]),
    ],
)
def test_pictures(name: str, write: Any, classes: list[str], tmp_path: Path) -> None:
    root = write(tmp_path / "set")
    found = transfer(name, root, tmp_path / "out", PLAIN)
    assert found["classes"] == classes
    assert found["samples"] == {split: 3 * count for split, count in COUNTS.items()}
    by_method = {one["method"]: one["metrics"]["accuracy"] for one in found["results"]}
    # Mean colours tell water, forest and towns apart (chance is a third of 12 pictures); their
    # hashed texts say nothing.
    assert by_method["linear"]["value"] >= 0.7
    assert by_method["knn"]["value"] >= 0.7
    assert 0 <= by_method["zero-shot"]["low"] <= by_method["zero-shot"]["value"] <= 1
    assert found["results"][1]["chosen"]["k"] in (1, 3, 5, 10)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "3 classes; 18 train, 9 val, 12 test; 0 skipped" in text


def test_zero_shot_finds_classes_by_their_names(tmp_path: Path) -> None:
    root = write_eurosat(tmp_path / "set")
    found = transfer(
        "eurosat", root, tmp_path / "out", "s2s-mini", "--method", "zero-shot", "--gsd", "30",
        "--prompt", "{}",
    )  # fmt: skip
    assert found["results"][0]["metrics"]["accuracy"]["value"] > 0.9
    assert found["results"][0]["chosen"]["prompts"] == ["{}"]


def test_recordings(tmp_path: Path) -> None:
    root = write_birdclef(tmp_path / "birdclef-2023")
    model = write_model_folder(tmp_path / "m", TINY.model_copy(update={"audio": TINY_HTSAT}))
    found = transfer("birdclef", root, tmp_path / "out", model)
    assert found["classes"] == ["Mallard", "Tawny Owl"]
    assert sum(found["samples"].values()) == 13
    assert [row["name"] for row in found["skipped"]] == ["owl1/XC0.ogg"]
    assert "does not open as audio" in found["skipped"][0]["reason"]
    assert "1 with fewer than 5 recordings left out" in (tmp_path / "out" / "report.md").read_text()
    again = transfer("birdclef", root, tmp_path / "out", model)
    assert again["results"] == found["results"]


def test_a_broken_picture_is_skipped_and_listed(tmp_path: Path) -> None:
    root = write_resisc45(tmp_path / "set")
    (root / "NWPU-RESISC45" / "lake" / "lake_12.jpg").write_bytes(b"no picture")
    found = transfer("resisc45", root, tmp_path / "out", PLAIN, "--method", "knn")
    assert found["samples"]["test"] == 11
    assert [row["name"] for row in found["skipped"]] == ["lake_12.jpg"]
    few = transfer("resisc45", root, tmp_path / "out", PLAIN, "--method", "knn", "--limit", 5)
    assert few["samples"]["train"] == 5


def test_files_and_classes_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_eurosat(tmp_path / "set")
    folder = next((root / "ds").rglob("SeaLake"))
    (folder / "SeaLake_2.tif").unlink()
    found = transfer("eurosat", root, tmp_path / "out", PLAIN, "--method", "knn")
    assert found["samples"]["train"] == 17
    reason = "listed in eurosat-train.txt, but not there"
    assert found["skipped"] == [{"name": "SeaLake_2.jpg", "reason": reason}]
    assert f"Skipped: SeaLake_2.jpg: {reason}" in (tmp_path / "out" / "report.md").read_text()
    # Without a whole class the figures would be too good.
    folder.rename(tmp_path / "SeaLake")
    code = call(
        "evaluate", "transfer", "--model", PLAIN, "--data", "eurosat", "--root", root,
        "-o", tmp_path / "again",
    )  # fmt: skip
    assert code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "no picture of the class SeaLake in" in said
    assert "eurosat-train.txt lists some" in said


def test_species_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_birdclef(tmp_path / "birdclef-2024")
    model = write_model_folder(tmp_path / "m", TINY.model_copy(update={"audio": TINY_HTSAT}))
    table = pd.read_csv(root / "train_metadata.csv")
    for i in range(5):
        # As many as are needed, of which one is broken: two others remain, and nothing is lost.
        name = f"few1/XC{i}.ogg"
        (root / "train_audio" / "few1").mkdir(exist_ok=True)
        source = root / "train_audio" / ("owl1/XC0.ogg" if i == 0 else f"duck1/XC{i}.ogg")
        (root / "train_audio" / name).write_bytes(source.read_bytes())
        table.loc[len(table)] = ["few1", "Few", name]
    table.to_csv(root / "train_metadata.csv", index=False)
    found = transfer("birdclef", root, tmp_path / "out", model, "--method", "knn")
    assert found["classes"] == ["Mallard", "Tawny Owl"]
    said = (tmp_path / "out" / "report.md").read_text()
    assert "fewer than 5 of their recordings can be used: few1" in said

    def refused(model: object) -> str:
        code = call(
            "evaluate", "transfer", "--model", model, "--data", "birdclef", "--root", root,
            "-o", tmp_path / "none",
        )  # fmt: skip
        assert code == 2
        return capsys.readouterr().err.splitlines()[-1]

    assert "plain cannot hear" in refused(PLAIN)
    (root / "train_audio" / "duck1").rename(tmp_path / "duck1")
    assert "no recording of duck1 in" in refused(model)


def test_classes_without_training_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"train": np.array([0, 2, 2]), "val": np.array([0]), "test": np.array([0, 1, 3])}
    data = LabelledVectors("made up", tuple("abcd"), {}, labels, ())
    assert _unseen(data, ("knn",)) == ["b", "d"]
    root = write_ucmerced(tmp_path / "set")
    command = ("evaluate", "transfer", "--model", PLAIN, "--data", "ucmerced", "--root", root)
    assert call(*command, "--limit", 1, "-o", tmp_path / "one") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "the training split of UC Merced holds 1 class" in said


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unsplit = write_ucmerced(tmp_path / "unsplit")
    (unsplit / "uc_merced-val.txt").unlink()
    for name, root, more, said in (
        ("eurosat", tmp_path, (), "no split train of EuroSAT in"),
        ("ucmerced", unsplit, (), "no split val of UC Merced in"),
        ("birdclef", tmp_path, (), "expected train_metadata.csv and train_audio/"),
        ("ucmerced", unsplit, ("--prompt", "x"), "a prompt 'x'; expected one {}"),
        ("ucmerced", unsplit, ("--method", "svm"), "expected one of linear, knn, zero-shot"),
    ):
        code = call(
            "evaluate", "transfer", "--model", PLAIN, "--data", name, "--root", root,
            "-o", tmp_path / "out", *more,
        )  # fmt: skip
        err = capsys.readouterr().err.splitlines()
        assert code == 2
        assert said in err[-1]
        assert not (tmp_path / "out").exists()


def test_hyper_parameters_are_chosen_on_the_validation_split() -> None:
    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 8))

    def part(count: int, noise: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        labels = np.arange(count) % 3
        vectors = centres[labels] + noise * random.normal(size=(count, 8))
        return vectors.astype(np.float32), labels

    parts = {"train": part(60, 1.0), "val": part(60, 1.0), "test": part(60, 1.0)}
    data = LabelledVectors(
        "made up", ("a", "b", "c"), {s: v for s, (v, _) in parts.items()},
        {s: y for s, (_, y) in parts.items()}, (),
    )  # fmt: skip
    knn, linear = nearest_neighbours(data), linear_probe(data)
    for found, key in ((knn, "k"), (linear, "C")):
        accuracy = found.chosen["validation accuracy"]
        best = max(accuracy.values())
        assert found.chosen[key] == min(k for k, value in accuracy.items() if value == best)
        assert (found.labels == data.labels["test"]).mean() > 0.6


def test_the_protocol_is_scikit_learns_search_on_one_held_out_split() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(4)
    centres = random.normal(size=(4, 6))
    sizes = {"train": 80, "val": 40, "test": 60}
    labels = {split: random.integers(0, 4, n) for split, n in sizes.items()}
    vectors = {
        split: (centres[y] + 1.1 * random.normal(size=(len(y), 6))).astype(np.float32)
        for split, y in labels.items()
    }
    vectors = {
        split: rows / np.linalg.norm(rows, axis=1, keepdims=True) for split, rows in vectors.items()
    }
    data = LabelledVectors("made up", tuple("abcd"), vectors, labels, ())
    x = np.concatenate([vectors["train"], vectors["val"]])
    y = np.concatenate([labels["train"], labels["val"]])
    held_out = PredefinedSplit(np.repeat([-1, 0], [80, 40]))
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=MOST_ITERATIONS))
    grids = (
        (linear_probe, "C", probe, {"logisticregression__C": list(STRENGTHS)}),
        (nearest_neighbours, "k", KNeighborsClassifier(metric="cosine"),
         {"n_neighbors": list(NEIGHBOURS)}),
    )  # fmt: skip
    for ours, key, estimator, grid in grids:
        search = GridSearchCV(estimator, grid, cv=held_out, scoring="accuracy").fit(x, y)
        found = ours(data)
        assert found.chosen[key] == next(iter(search.best_params_.values()))
        assert found.labels.tolist() == search.predict(vectors["test"]).tolist()
        truth, got = labels["test"], found.labels
        assert classification_metrics(truth, got, 4) == pytest.approx(
            {
                "accuracy": accuracy_score(truth, got),
                "balanced accuracy": balanced_accuracy_score(truth, got),
                "macro F1": f1_score(truth, got, average="macro"),
            }
        )


def test_zero_shot_by_hand() -> None:
    texts = {"a red": [1, 0, 0], "red": [0, 1, 0], "a blue": [0, 0, 1], "blue": [0, 0, 1]}

    class Reader:
        def embed_text(self, text: str) -> Any:
            return np.array(texts[text], np.float32)

    reader: Any = Reader()
    test = np.array([[0.6, 0.6, 0.53], [0.5, 0.1, 0.86]], np.float32)
    data = LabelledVectors("", ("red", "blue"), {"test": test}, {"test": np.array([0, 1])}, ())
    # Both texts of a class are averaged: (1, 1, 0) / sqrt 2 gives 0.85 against 0.53.
    assert zero_shot(data, reader, ("a {}", "{}")).labels.tolist() == [0, 1]
    assert zero_shot(data, reader, ("a {}",)).labels.tolist() == [0, 1]
    assert zero_shot(data, reader, ("{}",)).labels.tolist() == [0, 1]
    # With the bare name alone the second sample is far from red: 0.1 against 0.86.
    blue = np.array([[0.7, 0.1, 0.7]], np.float32)
    one = LabelledVectors("", ("red", "blue"), {"test": blue}, {"test": np.array([0])}, ())
    assert zero_shot(one, reader, ("{}",)).labels.tolist() == [1]
    assert zero_shot(one, reader, ("a {}",)).labels.tolist() == [0]
