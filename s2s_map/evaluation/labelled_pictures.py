"""Labelled pictures through a model: EuroSAT, UC Merced and RESISC45, read by torchgeo."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.encoding.exact import resize_patches
from s2s_map.errors import DataError
from s2s_map.evaluation.evaluated_model import EvaluatedModel, embed_pixels
from s2s_map.evaluation.labelled import SPLITS, LabelledVectors, Start, chosen, reason_of

REFLECTANCE_WHITE = 3000.0
"""EuroSAT's reflectance (times 10,000) that becomes 255, as torchgeo shows it."""


@dataclass(frozen=True)
class ImageSetSpec:
    """A set of labelled pictures that torchgeo reads.

    Attributes:
        title: For people.
        dataset: Name of torchgeo's class.
        gsd_m: Metres of a pixel.
        listing: Text file that lists the files of a split.
        options: For torchgeo's class.
        white: Value that becomes 255.
    """

    title: str
    dataset: str
    gsd_m: float
    listing: str
    options: Mapping[str, Any]
    white: float = 255.0


IMAGE_SETS: dict[str, ImageSetSpec] = {
    "eurosat": ImageSetSpec(
        "EuroSAT",
        "EuroSAT",
        10.0,
        "eurosat-{}.txt",
        {"bands": ("B04", "B03", "B02")},
        REFLECTANCE_WHITE,
    ),
    "ucmerced": ImageSetSpec("UC Merced", "UCMerced", 0.3048, "uc_merced-{}.txt", {}),
    "resisc45": ImageSetSpec("RESISC45", "RESISC45", 1.0, "resisc45-{}.txt", {}),
}
"""Pixels of RESISC45 are of 0.2 to 30 m, and not said: 1 m stands for all."""


def embed_pictures(
    model: EvaluatedModel,
    spec: ImageSetSpec,
    root: Path,
    gsd_m: float | None,
    limit: int | None,
    batch: int,
    seed: int,
    start: Start | None,
) -> LabelledVectors:
    """Embed the three splits of a set of pictures.

    Raises:
        DataError: If the set is not there, lacks a class, or nothing of a split opens.
    """
    sets = {split: _open_pictures(spec, root, split) for split in SPLITS}
    classes = tuple(sets["train"].classes)
    different = [split for split, one in sets.items() if tuple(one.classes) != classes]
    if different:
        raise DataError(
            f"the split {different[0]} of {spec.title} in {root} has other classes than train",
            expected=", ".join(classes),
        )
    vectors, labels = {}, {}
    skipped = [row for split, one in sets.items() for row in _missing(spec, root, split, one)]
    for split, dataset in sets.items():
        drawn = chosen(len(dataset), limit, seed)
        progress = None if start is None else start(f"Embedding {split}", len(drawn))
        parts, kept = [], []
        for first in range(0, len(drawn), batch):
            pixels = []
            part = drawn[first : first + batch]
            for index in part:
                try:
                    sample = dataset[int(index)]
                except Exception as error:
                    # Pillow, GDAL and torchgeo each have errors of their own.
                    skipped.append((Path(dataset.imgs[index][0]).name, reason_of(error)))
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
    except (OSError, torchgeo.datasets.DatasetNotFoundError) as error:
        # torchgeo's own words tell of an option of its own.
        none = isinstance(error, torchgeo.datasets.DatasetNotFoundError)
        reason = "" if none else f" ({reason_of(error)})"
        raise DataError(
            f"no split {split} of {spec.title} in {root}{reason}",
            expected=f"the layout of torchgeo's {spec.dataset}, with the text files of its splits",
            remedy="see docs/evaluation.md; nothing is downloaded",
        ) from None


def _missing(spec: ImageSetSpec, root: Path, split: str, dataset: Any) -> list[tuple[str, str]]:
    """Files that a split lists and that are not there: torchgeo leaves them out without a word.

    Raises:
        DataError: If none of a class is there: with fewer classes figures would be too good.
    """
    listing = root / spec.listing.format(split)
    there = {Path(path).stem for path, _ in dataset.imgs}
    listed = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines()]
    missing = [name for name in listed if name and Path(name).stem not in there]
    gone = {_class_of(name) for name in missing} - {_class_of(name) for name in there}
    if gone:
        raise DataError(
            f"no picture of the class{'es' * (len(gone) > 1)} {', '.join(sorted(gone))} in {root}, "
            f"though {listing.name} lists some",
            expected="a folder of pictures for each class",
            remedy="unpack the whole set",
        )
    return [(name, f"listed in {listing.name}, but not there") for name in missing]


def _class_of(name: str) -> str:
    """``Forest_12.jpg``, ``forest00.tif``, ``dense_residential_001.jpg`` without number."""
    return re.sub(r"_?\d+$", "", Path(name).stem)


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


def _in_words(name: str) -> str:
    """``SeaLake`` and ``golf_course`` as people say them."""
    spaced = "".join(f" {c}" if c.isupper() else c for c in name.replace("_", " "))
    return " ".join(spaced.split()).lower()
