"""Recordings of a BirdCLEF competition through a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2s_map.encoding.audio_file import read_recording
from s2s_map.errors import AudioError, DataError
from s2s_map.evaluation.evaluated_model import EvaluatedModel, checked_vector, heard_form
from s2s_map.evaluation.labelled import LabelledVectors, Start, chosen, reason_of

FEWEST_RECORDINGS = 5
"""Species with fewer cannot be in all three splits, and are left out."""


def embed_birds(
    model: EvaluatedModel, root: Path, limit: int | None, seed: int, start: Start | None
) -> LabelledVectors:
    """Embed the recordings of a competition, split within each species.

    Raises:
        DataError: If it is not there, lacks recordings of a species, too few can be used, or the
            model cannot hear.
    """
    table = _bird_table(root)
    if heard_form(model, "recording") == "nothing":
        raise DataError(
            f"{model.name} cannot hear", remedy="evaluate a model with an audio encoder on BirdCLEF"
        )
    counts = table["primary_label"].value_counts()
    rare = sorted(counts.index[counts < FEWEST_RECORDINGS])
    table = table[~table["primary_label"].isin(rare)].reset_index(drop=True)
    _check_folders(root, table)
    table = table.iloc[chosen(len(table), limit, seed)]
    progress = None if start is None else start("Embedding recordings", len(table))
    found, labels, skipped = [], [], []
    for name, label in zip(table["filename"], table["primary_label"], strict=True):
        try:
            recording = read_recording(root / "train_audio" / name)
            given = model.embed_recording(recording.waveform, recording.rate).vector
            found.append(checked_vector(model, given))
            labels.append(label)
        except AudioError as error:
            skipped.append((str(name), error.found))
        if progress is not None:
            progress(1)
    vectors, names = np.array(found), np.array(labels)
    species, counted = np.unique(names, return_counts=True)
    few = species[counted < FEWEST_RECORDINGS].tolist()
    kept = ~np.isin(names, few)
    species, numbers = np.unique(names[kept], return_inverse=True)
    if len(species) < 2:
        raise DataError(
            f"{len(names)} usable recordings in {root}, of {len(species)} species at least "
            f"{FEWEST_RECORDINGS} each",
            expected="two species or more",
            remedy="give the whole competition folder, or a larger --limit",
        )
    splits = _stratified(numbers, seed)
    every = vectors[kept]
    words = dict(zip(table["primary_label"], table["words"], strict=True))
    notes = [
        f"{len(species)} species; {len(rare)} with fewer than {FEWEST_RECORDINGS} recordings left "
        "out. Whole recordings are heard, split 60/20/20 within each species."
    ]
    if few:
        notes.append(
            f"Also left out, since fewer than {FEWEST_RECORDINGS} of their recordings "
            f"{'were drawn or ' if limit else ''}can be used: {', '.join(few)}."
        )
    return LabelledVectors(
        f"BirdCLEF ({root.name})",
        tuple(str(words[name]) for name in species),
        {split: every[index] for split, index in splits.items()},
        {split: numbers[index].astype(np.int64) for split, index in splits.items()},
        tuple(skipped),
        tuple(notes),
    )


def _check_folders(root: Path, table: Any) -> None:
    """Refuse a competition of which whole species were not unpacked."""
    there = [(root / "train_audio" / str(name)).is_file() for name in table["filename"]]
    gone = sorted(set(table["primary_label"]) - set(table["primary_label"][there]))
    if gone:
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        raise DataError(
            f"no recording of {', '.join(gone[:3])}{more} in {root / 'train_audio'}, though "
            "train_metadata.csv lists some",
            expected="train_audio/ with a folder of recordings for each species",
            remedy="unpack the whole competition",
        )


def _bird_table(root: Path) -> Any:
    import pandas as pd

    path = root / "train_metadata.csv"
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise DataError(
            f"no BirdCLEF in {root} ({reason_of(error)})",
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
