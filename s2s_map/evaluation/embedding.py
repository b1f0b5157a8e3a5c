"""A data set through a model: unit vectors of its imagery, recordings and captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.hyper_parameters import SOURCE_PX, SatelliteKind
from s2s_map.config.model import MetadataField
from s2s_map.datasets.reading import SoundDataset, open_dataset
from s2s_map.datasets.sample import SkippedRow, SoundSample
from s2s_map.datasets.schema import Wanted
from s2s_map.errors import AudioError, DataError, QueryError
from s2s_map.evaluation.evaluated_model import (
    AudioForm,
    EvaluatedModel,
    checked_vector,
    embed_pixels,
    heard_form,
)
from s2s_map.evaluation.told import tell

type Progress = Callable[[int], None]
type _Read = Callable[[str], NDArray[np.float32] | None]

_CACHED_TEXTS = 20_000
"""Of 1,024 numbers each: 80 MB."""


@dataclass(frozen=True)
class SetSettings:
    """What of a data set goes through a model.

    Attributes:
        data: Folder, Parquet file or repository, see `open_dataset`.
        split: train, val or test.
        imagery: Which imagery.
        zooms: Patch sides, in tiles.
        tile_px: Source pixels of a tile; None: as published.
        gsd_m: Metres of a source pixel; None: as published.
        audio: What the model hears: the first stored spectrogram ("mel", as published), or the
            whole recording; auto: spectrograms if it can be given them.
        image_captions: Whether to read the captions of the imagery, where the set has them.
        limit: Rows to look at, from the first; None: all.
        batch: Samples in one pass.
        cache: Folder of the `datasets` library's cache; None: its own.
    """

    data: str
    split: str = "test"
    imagery: SatelliteKind = "sentinel"
    zooms: tuple[int, ...] = (1,)
    tile_px: int | None = None
    gsd_m: float | None = None
    audio: AudioForm = "auto"
    image_captions: bool = True
    limit: int | None = None
    batch: int = 32
    cache: Path | None = None

    @property
    def patch_m(self) -> float:
        """Side of a patch at zoom 1, metres."""
        from s2s_map.models.checkpoints.published import IMAGERY

        tile = self.tile_px or SOURCE_PX[self.imagery]
        return tile * (self.gsd_m or IMAGERY[self.imagery].gsd_m)


@dataclass(frozen=True, eq=False)
class Captions:
    """Captions of one kind, as texts and as vectors.

    Attributes:
        texts: Of each sample; None: it has none, or one that the model cannot read.
        vectors: Unit vectors (n, dim); zero where there is no text.
    """

    texts: tuple[str | None, ...]
    vectors: NDArray[np.float32]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which samples have one, (n,)."""
        return np.array([text is not None for text in self.texts], dtype=bool)

    @property
    def distinct(self) -> int:
        """How many different texts there are."""
        return len(set(self.texts) - {None})


@dataclass(frozen=True, eq=False)
class EmbeddedSet:
    """Unit vectors of the samples that could be used, in their order.

    Attributes:
        rows: Their rows in the data set, (n,).
        keys: Their names.
        images: By zoom and name of what the model was given, (n, dim) each.
        audio: Recordings (n, dim); None: the model cannot hear.
        captions: Of the recordings.
        image_captions: Of the imagery, by zoom; only of zooms for which the set has them.
        skipped: Rows that cannot be used, with reasons.
        hears: "mel", "recording" or "nothing".
    """

    rows: NDArray[np.int64]
    keys: tuple[str, ...]
    images: Mapping[tuple[int, str], NDArray[np.float32]]
    audio: NDArray[np.float32] | None
    captions: Captions
    image_captions: Mapping[int, Captions]
    skipped: tuple[SkippedRow, ...]
    hears: str


def open_set(model: EvaluatedModel, settings: SetSettings) -> SoundDataset:
    """Open what a model needs of a data set.

    Raises:
        DataError: If it does not open, or lacks columns.
    """
    hears = heard_form(model, settings.audio)
    wanted = Wanted(
        images=(settings.imagery,),
        captions_if_any=tuple((settings.imagery, zoom) for zoom in settings.zooms)
        if settings.image_captions
        else (),
        mel=hears == "mel",
        audio=hears == "recording",
        metadata=bool(model.card.config.metadata),
    )
    return open_dataset(settings.data, settings.split, wanted, cache=settings.cache)


def embed_set(
    model: EvaluatedModel,
    dataset: SoundDataset,
    settings: SetSettings,
    told: Mapping[str, tuple[MetadataField, ...]],
    folder: Path,
    on_samples: Progress | None = None,
) -> EmbeddedSet:
    """Embed a data set; vectors are kept in files, so that sets may be larger than memory.

    Args:
        model: The model.
        dataset: From `open_set`.
        settings: What of it.
        told: Names of what the model is given beside the image, with the metadata fields.
        folder: Where the files are kept while they are used.
        on_samples: Called with the number of rows done since the last call.

    Raises:
        DataError: If no row can be used.
        ModelError: If the model gives vectors of another shape.
    """
    count = min(len(dataset), settings.limit or len(dataset))
    keys = [(zoom, name) for zoom in settings.zooms for name in told]
    hears = heard_form(model, settings.audio)

    def kept(name: str) -> NDArray[np.float32]:
        path = folder / f"{name}.npy"
        made: NDArray[np.float32] = np.lib.format.open_memmap(
            path, mode="w+", dtype=np.float32, shape=(max(count, 1), model.dim)
        )
        return made

    images = {key: kept(f"image-{i}") for i, key in enumerate(keys)}
    audio = kept("audio")
    described = [
        zoom for zoom in settings.zooms if (settings.imagery, zoom) in dataset.wanted.captions
    ]
    read_text = lru_cache(maxsize=_CACHED_TEXTS)(partial(_embed_text, model))
    captions = _KeptCaptions(read_text, kept("captions"))
    image_captions = {
        zoom: _KeptCaptions(read_text, kept(f"image-captions-{zoom}")) for zoom in described
    }
    rows: list[int] = []
    names: list[str] = []
    skipped: list[SkippedRow] = []
    for start in range(0, count, settings.batch):
        part = range(start, min(start + settings.batch, count))
        batch = _usable(dataset, part, model, hears, skipped)
        done = slice(len(rows), len(rows) + len(batch))
        if batch:
            samples = [one.sample for one in batch]
            if hears != "nothing":
                audio[done] = np.stack([one.vector for one in batch])
            for zoom in settings.zooms:
                vectors = _embed_images(model, samples, settings, zoom, list(told.values()))
                for name, found in zip(told, vectors, strict=True):
                    images[zoom, name][done] = found
            for sample in samples:
                captions.add(sample.audio_caption)
                for zoom, of_zoom in image_captions.items():
                    of_zoom.add(sample.image_captions.get((settings.imagery, zoom)))
            rows += [one.row for one in batch]
            names += [sample.key for sample in samples]
        if on_samples is not None:
            on_samples(len(part))
    if not rows:
        reason = f" (the first: {skipped[0].reason})" if skipped else ""
        raise DataError(f"none of {count} rows of {settings.data} can be used{reason}")
    n = len(rows)
    return EmbeddedSet(
        np.array(rows, dtype=np.int64),
        tuple(names),
        {key: array[:n] for key, array in images.items()},
        None if hears == "nothing" else audio[:n],
        captions.done(),
        {zoom: of_zoom.done() for zoom, of_zoom in image_captions.items()},
        tuple(skipped),
        hears,
    )


class _KeptCaptions:
    """Captions as they come, their vectors in a file."""

    def __init__(self, read: _Read, vectors: NDArray[np.float32]) -> None:
        self._read, self._vectors = read, vectors
        self._texts: list[str | None] = []

    def add(self, text: str | None) -> None:
        vector = None if text is None else self._read(text)
        self._vectors[len(self._texts)] = 0 if vector is None else vector
        self._texts.append(None if vector is None else text)

    def done(self) -> Captions:
        return Captions(tuple(self._texts), self._vectors[: len(self._texts)])


@dataclass(frozen=True, eq=False)
class _Heard:
    row: int
    sample: SoundSample
    vector: NDArray[np.float32]


def _usable(
    dataset: SoundDataset,
    rows: Sequence[int],
    model: EvaluatedModel,
    hears: str,
    skipped: list[SkippedRow],
) -> list[_Heard]:
    """Read rows and embed their recordings; those that cannot be used are noted."""
    found: list[_Heard] = []
    for row in rows:
        sample = dataset.read(row)
        if isinstance(sample, SkippedRow):
            skipped.append(sample)
            continue
        vector = np.zeros(model.dim, dtype=np.float32)
        if hears == "recording":
            assert sample.waveform is not None and sample.rate is not None  # noqa: S101, PT018
            try:
                given = model.embed_recording(sample.waveform, sample.rate).vector
                vector = checked_vector(model, given)
            except AudioError as error:
                skipped.append(SkippedRow(sample.key, error.found))
                continue
        found.append(_Heard(row, sample, vector))
    if hears == "mel" and found:
        hearer = model.audio_encoder
        mels = np.stack([one.sample.mel[0] for one in found if one.sample.mel is not None])
        vectors = np.asarray(hearer.embed_mels(mels))  # type: ignore[attr-defined]
        found = [
            _Heard(one.row, one.sample, checked_vector(model, vector))
            for one, vector in zip(found, vectors, strict=True)
        ]
    return found


def _embed_images(
    model: EvaluatedModel,
    samples: Sequence[SoundSample],
    settings: SetSettings,
    zoom: int,
    told: Sequence[tuple[MetadataField, ...]],
) -> list[NDArray[np.float32]]:
    pixels = np.stack(
        [s.patch(settings.imagery, zoom, model.input_px, settings.tile_px) for s in samples]
    )
    slots = [tell(samples, fields) for fields in told]
    return embed_pixels(model, pixels, settings.patch_m * zoom, slots)


def _embed_text(model: EvaluatedModel, text: str) -> NDArray[np.float32] | None:
    """Embed a caption; None for one that the model cannot read."""
    try:
        return checked_vector(model, model.embed_text(text))
    except QueryError:
        return None
