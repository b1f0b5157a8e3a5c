"""Labelled data sets through a model: pictures through torchgeo, recordings of BirdCLEF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from s2s_map.encoding.audio_file import read_recording
from s2s_map.encoding.exact import resize_patches
from s2s_map.errors import AudioError, DataError
from s2s_map.evaluation.evaluated_model import EvaluatedModel, embed_pixels

type LabelledName = Literal["eurosat", "ucmerced", "resisc45", "birdclef"]
type Start = Callable[[str, int], Callable[[int], None]]

SPLITS = ("train", "val", "test")

FEWEST_RECORDINGS = 5
"""Species with fewer cannot be in all three splits, and are left out."""

REFLECTANCE_WHITE = 3000.0
"""EuroSAT's reflectance (times 10,000) that becomes 255, as torchgeo shows it."""


@dataclass(frozen=True)
class ImageSetSpec:
    """A set of labelled pictures that torchgeo reads.

    Attributes:
        title: For people.
        dataset: Name of torchgeo's class.
        gsd_m: Metres of a pixel.
        options: For torchgeo's class.
        white: Value that becomes 255.
    """

    title: str
    dataset: str
    gsd_m: float
    options: Mapping[str, Any]
    white: float = 255.0


IMAGE_SETS: dict[str, ImageSetSpec] = {
    "eurosat": ImageSetSpec(
        "EuroSAT", "EuroSAT", 10.0, {"bands": ("B04", "B03", "B02")}, REFLECTANCE_WHITE
    ),
    "ucmerced": ImageSetSpec("UC Merced", "UCMerced", 0.3048, {}),
    "resisc45": ImageSetSpec("RESISC45", "RESISC45", 1.0, {}),
}
"""Pixels of RESISC45 are of 0.2 to 30 m, and not said: 1 m stands for all."""


@dataclass(frozen=True, eq=False)
class LabelledVectors:
    """A labelled set in the embedding space.

    Attributes:
        title: For people.
        classes: Names of the classes, in words.
        vectors: By split, unit vectors (n, dim).
        labels: By split, indices of classes (n,).
        skipped: What cannot be used, with reasons.
        notes: What a reader should know.
    """

    title: str
    classes: tuple[str, ...]
    vectors: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, NDArray[np.int64]]
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def embed_labelled(
    model: EvaluatedModel,
    name: LabelledName,
    root: Path,
    *,
    gsd_m: float | None = None,
    limit: int | None = None,
    batch: int = 32,
    seed: int = 0,
    start: Start | None = None,
) -> LabelledVectors:
    """Embed a labelled set that lies on this machine.

    Args:
        model: The model; one with metadata is told none.
        name: Which set.
        root: Its folder, laid out as torchgeo (or, for BirdCLEF, the competition) has it.
        gsd_m: Metres of a pixel; None: the set's.
        limit: Samples of each split (of BirdCLEF: of the whole), drawn at random; None: all.
        batch: Pictures in one pass.
        seed: Of what is drawn, and of BirdCLEF's splits.
        start: Told of progress.

    Raises:
        DataError: If the set is not there, or nothing of it can be used.
    """
    if name == "birdclef":
        return _embed_birds(model, root, limit, seed, start)
    return _embed_pictures(model, IMAGE_SETS[name], root, gsd_m, limit, batch, seed, start)


def _embed_pictures(
    model: EvaluatedModel,
    spec: ImageSetSpec,
    root: Path,
    gsd_m: float | None,
    limit: int | None,
    batch: int,
    seed: int,
    start: Start | None,
) -> LabelledVectors:
    sets = {split: _open_pictures(spec, root, split) for split in SPLITS}
    classes = tuple(sets["train"].classes)
    different = [split for split, one in sets.items() if tuple(one.classes) != classes]
    if different:
        raise DataError(
            f"the split {different[0]} of {spec.title} in {root} has other classes than train",
            expected=", ".join(classes),
        )
    vectors, labels, skipped = {}, {}, []
    for split, dataset in sets.items():
        chosen = _chosen(len(dataset), limit, seed)
        progress = None if start is None else start(f"Embedding {split}", len(chosen))
        parts, kept = [], []
        for first in range(0, len(chosen), batch):
            pixels = []
            part = chosen[first : first + batch]
            for index in part:
                try:
                    sample = dataset[int(index)]
                except Exception as error:
                    # Pillow, GDAL and torchgeo each have errors of their own.
                    skipped.append((Path(dataset.imgs[index][0]).name, _reason(error)))
                    continue
                shown = np.clip(np.rint(sample["image"].numpy() / spec.white * 255), 0, 255)
                pixels.append((shown.astype(np.uint8), int(sample["label"])))
            if pixels:
                parts.append(_embed_chips(model, [p for p, _ in pixels], gsd_m or spec.gsd_m))
                kept += [label for _, label in pixels]
            if progress is not None:
                progress(len(part))
        if not kept:
            raise DataError(f"no picture of the split {split} of {spec.title} in {root} opens")
        vectors[split], labels[split] = np.concatenate(parts), np.array(kept, dtype=np.int64)
    named = tuple(_in_words(name) for name in classes)
    notes = (f"Pixels of {gsd_m or spec.gsd_m:g} m; whole pictures, resized.",)
    return LabelledVectors(spec.title, named, vectors, labels, tuple(skipped), notes)


def _open_pictures(spec: ImageSetSpec, root: Path, split: str) -> Any:
    import torchgeo.datasets

    make = getattr(torchgeo.datasets, spec.dataset)
    try:
        # Never downloaded; checksums are of archives, not of what was unpacked from them.
        return make(root=root, split=split, download=False, checksum=False, **spec.options)
    except (FileNotFoundError, OSError, torchgeo.datasets.DatasetNotFoundError) as error:
        raise DataError(
            f"no split {split} of {spec.title} in {root} ({_reason(error)})",
            expected=f"the layout of torchgeo's {spec.dataset}, with the text files of its splits",
            remedy="see docs/evaluation.md; nothing is downloaded",
        ) from None


def _embed_chips(
    model: EvaluatedModel, chips: Sequence[NDArray[np.uint8]], gsd_m: float
) -> NDArray[np.float32]:
    """Embed pictures; a batch may hold several sizes, each with its own ground size."""
    found = np.empty((len(chips), model.dim), dtype=np.float32)
    sizes = np.array([max(chip.shape[1:]) for chip in chips])
    for size in np.unique(sizes):
        here = np.flatnonzero(sizes == size)
        pixels = np.concatenate(
            [resize_patches(chips[i][None], model.input_px) for i in here.tolist()]
        )
        found[here] = embed_pixels(model, pixels, float(size) * gsd_m, [None])[0]
    return found


def _embed_birds(
    model: EvaluatedModel, root: Path, limit: int | None, seed: int, start: Start | None
) -> LabelledVectors:
    table = _bird_table(root)
    counts = table["primary_label"].value_counts()
    rare = sorted(counts.index[counts < FEWEST_RECORDINGS])
    table = table[~table["primary_label"].isin(rare)].reset_index(drop=True)
    table = table.iloc[_chosen(len(table), limit, seed)]
    progress = None if start is None else start("Embedding recordings", len(table))
    vectors, labels, skipped = [], [], []
    for name, label in zip(table["filename"], table["primary_label"], strict=True):
        try:
            recording = read_recording(root / "train_audio" / name)
            found = model.embed_recording(recording.waveform, recording.rate).vector
            vectors.append(np.asarray(found, dtype=np.float32))
            labels.append(label)
        except AudioError as error:
            skipped.append((str(name), error.found))
        if progress is not None:
            progress(1)
    kept = np.array(labels)
    names, numbers, counted = np.unique(kept, return_inverse=True, return_counts=True)
    if len(names) < 2 or counted.min() < FEWEST_RECORDINGS:
        raise DataError(
            f"{len(kept)} usable recordings of {len(names)} species in {root}",
            expected=f"two species with at least {FEWEST_RECORDINGS} each",
            remedy="give the whole competition folder, or a larger --limit",
        )
    splits = _stratified(numbers, seed)
    every = np.stack(vectors)
    words = dict(zip(table["primary_label"], table["words"], strict=True))
    return LabelledVectors(
        f"BirdCLEF ({root.name})",
        tuple(str(words[name]) for name in names),
        {split: every[index] for split, index in splits.items()},
        {split: numbers[index].astype(np.int64) for split, index in splits.items()},
        tuple(skipped),
        (
            f"{len(names)} species; {len(rare)} with fewer than {FEWEST_RECORDINGS} recordings "
            "left out. Whole recordings are heard, split 60/20/20 within each species.",
        ),
    )


def _bird_table(root: Path) -> Any:
    import pandas as pd

    path = root / "train_metadata.csv"
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise DataError(
            f"no BirdCLEF in {root} ({_reason(error)})",
            expected="train_metadata.csv and train_audio/, as in the competition",
        ) from None
    missing = [n for n in ("primary_label", "filename") if n not in table.columns]
    if missing:
        raise DataError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    names = [n for n in ("common_name", "scientific_name", "primary_label") if n in table.columns]
    return table.assign(words=table[names].bfill(axis=1).iloc[:, 0])


def _stratified(labels: NDArray[np.integer], seed: int) -> dict[str, NDArray[np.intp]]:
    """Split 60/20/20 within each class."""
    from sklearn.model_selection import train_test_split

    every = np.arange(len(labels))
    rest, test = train_test_split(every, test_size=0.2, random_state=seed, stratify=labels)
    train, val = train_test_split(rest, test_size=0.25, random_state=seed, stratify=labels[rest])
    return {"train": np.sort(train), "val": np.sort(val), "test": np.sort(test)}


def _chosen(count: int, limit: int | None, seed: int) -> NDArray[np.intp]:
    if limit is None or limit >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))


def _in_words(name: str) -> str:
    """``SeaLake`` and ``golf_course`` as people say them."""
    spaced = "".join(f" {c}" if c.isupper() else c for c in name.replace("_", " "))
    return " ".join(spaced.split()).lower()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
