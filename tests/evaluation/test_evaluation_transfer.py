"""Transfer to labelled sets: real pictures and sounds in the layouts of torchgeo and BirdCLEF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import soundfile
from fixtures_cli import call
from fixtures_models import TINY, TINY_HTSAT, write_model_folder
from fixtures_plain_model import MODEL as PLAIN
from fixtures_sounds import SCENE, SOUNDS
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import from_origin
from rasterio.windows import Window

from s2s_map.encoding.audio_file import read_recording
from s2s_map.evaluation.labelled import LabelledVectors
from s2s_map.evaluation.transfer import linear_probe, nearest_neighbours

POINTS = Path(__file__).parents[1] / "data" / "iguacu_points" / "points.csv"
COUNTS = {"train": 6, "val": 3, "test": 4}
CHIP_PX = 48


def chips(label: str) -> list[NDArray[np.uint8]]:
    """Pictures (3, 48, 48) of the demo scene around the points of a label."""
    points = pd.read_csv(POINTS)
    with rasterio.open(SCENE) as scene:
        found = []
        for point in points[points.label == label].itertuples():
            row, col = scene.index(point.x, point.y)
            found.append(scene.read(window=Window(col - 24, row - 24, CHIP_PX, CHIP_PX)))
    return found[: sum(COUNTS.values())]


def write_split_names(folder: Path, stem: str, names: dict[str, list[str]]) -> None:
    for split, files in names.items():
        (folder / f"{stem}-{split}.txt").write_text("\n".join(files) + "\n")


def write_pictures(
    root: Path, inside: str, stem: str, ending: str, classes: dict[str, str], save: Any
) -> Path:
    """Write a folder a class and the text files of the splits, as torchgeo has them."""
    splits: dict[str, list[str]] = {split: [] for split in COUNTS}
    for name, label in classes.items():
        (root / inside / name).mkdir(parents=True)
        which = [split for split, count in COUNTS.items() for _ in range(count)]
        for i, (pixels, split) in enumerate(zip(chips(label), which, strict=True)):
            file = f"{name}_{i}{ending}"
            save(root / inside / name / file, pixels)
            # EuroSAT's split files name JPEGs, as the original RGB set has.
            splits[split].append(file.replace(".tif", ".jpg") if "eurosat" in stem else file)
    write_split_names(root, stem, splits)
    return root


def save_bands(path: Path, pixels: NDArray[np.uint8]) -> None:
    bands = np.zeros((13, CHIP_PX, CHIP_PX), np.uint16)
    bands[[3, 2, 1]] = pixels.astype(np.uint32) * 3000 // 255
    size = {"count": 13, "width": CHIP_PX, "height": CHIP_PX}
    place = {"crs": "EPSG:32721", "transform": from_origin(0, 0, 10, 10)}
    profile = {"driver": "GTiff", "dtype": "uint16", **size, **place}
    with rasterio.open(path, "w", **profile) as file:
        file.write(bands)


def save_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    picture = Image.fromarray(np.moveaxis(pixels, 0, -1))
    picture.resize((256, 256)).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def write_eurosat(root: Path) -> Path:
    inside = "ds/images/remote_sensing/otherDatasets/sentinel_2/tif"
    classes = {"Forest": "forest", "Residential": "city", "SeaLake": "water"}
    return write_pictures(root, inside, "eurosat", ".tif", classes, save_bands)


def write_ucmerced(root: Path) -> Path:
    classes = {"forest": "forest", "denseresidential": "city", "river": "water"}
    return write_pictures(
        root, "UCMerced_LandUse/Images", "uc_merced", ".tif", classes, save_picture
    )


def write_resisc45(root: Path) -> Path:
    classes = {"forest": "forest", "dense_residential": "city", "lake": "water"}
    return write_pictures(root, "NWPU-RESISC45", "resisc45", ".jpg", classes, save_picture)


def write_birdclef(root: Path) -> Path:
    """Two species with seven clips each, one with too few, one clip that is broken."""
    rows = []
    for stem, words in (("owl", "Tawny Owl"), ("duck", "Mallard")):
        path = next(p for p in SOUNDS if p.stem == stem)
        recording = read_recording(path)
        for i in range(7):
            part = np.roll(recording.waveform, -i * recording.rate // 2)[: 2 * recording.rate]
            name = f"{stem}1/XC{i}.ogg"
            (root / "train_audio" / f"{stem}1").mkdir(parents=True, exist_ok=True)
            soundfile.write(root / "train_audio" / name, part, recording.rate)
            rows.append((f"{stem}1", words, name))
    (root / "train_audio" / "owl1" / "XC0.ogg").write_bytes(b"no sound")
    rows.append(("rare1", "Rare Bird", "rare1/XC1.ogg"))
    frame = pd.DataFrame(rows, columns=["primary_label", "common_name", "filename"])
    frame.to_csv(root / "train_metadata.csv", index=False)
    return root


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
