"""Small labelled sets of real pictures and sounds, in the layouts of torchgeo and BirdCLEF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
import soundfile
from fixtures_sounds import SCENE, SOUNDS
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import from_origin
from rasterio.windows import Window

from s2s_map.encoding.audio_file import read_recording

POINTS = Path(__file__).parent / "data" / "iguacu_points" / "points.csv"
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
