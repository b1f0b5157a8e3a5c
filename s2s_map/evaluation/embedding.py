"""A data set through a model: unit vectors of its imagery, recordings and captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from s2s_map.config.hyper_parameters import SOURCE_PX, SatelliteKind
from s2s_map.config.model import MetadataField, ModelCard
from s2s_map.datasets.reading import SoundDataset, open_dataset
from s2s_map.datasets.sample import SkippedRow, SoundSample
from s2s_map.datasets.schema import Wanted
from s2s_map.errors import AudioError, DataError, ModelError, QueryError
from s2s_map.evaluation.told import tell

type AudioForm = Literal["auto", "mel", "recording"]
type Progress = Callable[[int], None]

_CACHED_TEXTS = 100_000


class EvaluatedModel(Protocol):
    """What evaluations ask of a model: a `LoadedModel`, or one of one's own.

    One with an attribute ``takes_arrays = True`` is given numpy arrays and returns them.
    """

    name: str
    card: ModelCard
    dim: int
    input_px: int

    @property
    def audio_encoder(self) -> object:
        """What hears; None, or a `ModelError`: nothing."""
        ...

    def resolution_for(self, patch_m: float) -> float:
        """The resolution argument for patches of a side, metres."""
        ...

    def embed_slots(
        self, pixels: Any, resolution_m: float, level: Literal["patch"], slots: Sequence[Any]
    ) -> Sequence[Any]:
        """Embed uint8 patches (B, 3, px, px) per told metadata: (B, dim) each."""
        ...

    def embed_text(self, text: str) -> NDArray[np.float32]:
        """Embed a text as a unit vector (dim,)."""
        ...

    def embed_recording(self, waveform: NDArray[np.float32], rate: int) -> Any:
        """Embed a mono recording; `.vector` of the result is a unit vector (dim,)."""
        ...


@runtime_checkable
class MelHearer(Protocol):
    """An audio encoder that is given spectrograms, as in the published evaluation."""

    def embed_mels(self, mels: NDArray[np.float32]) -> Any:
        """Embed log-mel spectrograms (B, frames, bins) as (B, dim)."""
        ...


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
    limit: int | None = None
    batch: int = 32
    cache: Path | None = None

    @property
    def patch_m(self) -> float:
        """Side of a patch at zoom 1, metres."""
        from s2s_map.models.published import IMAGERY

        tile = self.tile_px or SOURCE_PX[self.imagery]
        return tile * (self.gsd_m or IMAGERY[self.imagery].gsd_m)


@dataclass(frozen=True, eq=False)
class EmbeddedSet:
    """Unit vectors of the samples that could be used, in their order.

    Attributes:
        rows: Their rows in the data set, (n,).
        keys: Their names.
        captions: Of the recordings; None: none, or one that the model cannot read.
        images: By zoom and name of what the model was told, (n, dim) each.
        audio: Recordings (n, dim); None: the model cannot hear.
        texts: Captions (n, dim); zero where there is none.
        skipped: Rows that cannot be used, with reasons.
        hears: "mel", "recording" or "nothing".
    """

    rows: NDArray[np.int64]
    keys: tuple[str, ...]
    captions: tuple[str | None, ...]
    images: Mapping[tuple[int, str], NDArray[np.float32]]
    audio: NDArray[np.float32] | None
    texts: NDArray[np.float32]
    skipped: tuple[SkippedRow, ...]
    hears: str

    @property
    def captioned(self) -> NDArray[np.bool_]:
        """Which samples have a caption, (n,)."""
        return np.array([caption is not None for caption in self.captions], dtype=bool)


def open_set(model: EvaluatedModel, settings: SetSettings) -> SoundDataset:
    """Open what a model needs of a data set.

    Raises:
        DataError: If it does not open, or lacks columns.
    """
    hears = heard_form(model, settings.audio)
    wanted = Wanted(
        images=(settings.imagery,),
        mel=hears == "mel",
        audio=hears == "recording",
        metadata=bool(model.card.config.metadata),
    )
    return open_dataset(settings.data, settings.split, wanted, cache=settings.cache)


def heard_form(model: EvaluatedModel, asked: AudioForm) -> str:
    """What a model is given to hear: "mel", "recording" or "nothing".

    Raises:
        DataError: If it cannot be given what was asked for.
    """
    try:
        hearer = model.audio_encoder
    except ModelError:
        hearer = None
    if hearer is None:
        return "nothing"
    if isinstance(hearer, MelHearer):
        return "mel" if asked == "auto" else asked
    if asked == "mel":
        raise DataError(
            f"{model.name} cannot be given spectrograms", remedy="use --audio recording"
        )
    return "recording"


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
        told: Names of what the model is told beside the image, with the metadata fields.
        folder: Where the files are kept while they are used.
        on_samples: Told how many rows were done since the last call.

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
    audio, texts = kept("audio"), kept("text")
    read_text = _TextReader(model)
    rows: list[int] = []
    names: list[str] = []
    captions: list[str | None] = []
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
            for offset, sample in enumerate(samples):
                vector = read_text(sample.audio_caption)
                texts[done.start + offset] = 0 if vector is None else vector
                captions.append(None if vector is None else sample.audio_caption)
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
        tuple(captions),
        {key: array[:n] for key, array in images.items()},
        None if hears == "nothing" else audio[:n],
        texts[:n],
        tuple(skipped),
        hears,
    )


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
                vector = model.embed_recording(sample.waveform, sample.rate).vector
            except AudioError as error:
                skipped.append(SkippedRow(sample.key, error.found))
                continue
        found.append(_Heard(row, sample, _vector(model, vector)))
    if hears == "mel" and found:
        hearer = model.audio_encoder
        mels = np.stack([one.sample.mel[0] for one in found if one.sample.mel is not None])
        vectors = np.asarray(hearer.embed_mels(mels))  # type: ignore[attr-defined]
        found = [
            _Heard(one.row, one.sample, _vector(model, vector))
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


def embed_pixels(
    model: EvaluatedModel, pixels: NDArray[np.uint8], patch_m: float, slots: Sequence[Any]
) -> list[NDArray[np.float32]]:
    """Embed patches (B, 3, px, px) of a side in metres, once for all that is told.

    Raises:
        ModelError: If the model gives vectors of another shape, or that are not finite.
    """
    given: Any = pixels
    if not getattr(model, "takes_arrays", False):
        import torch

        given = torch.from_numpy(pixels)
    found = []
    for vectors in model.embed_slots(given, model.resolution_for(patch_m), "patch", slots):
        plain = vectors if isinstance(vectors, np.ndarray) else vectors.cpu().numpy()
        if plain.shape != (len(pixels), model.dim) or not np.isfinite(plain).all():
            raise ModelError(
                f"{model.name} gave patch embeddings of shape {plain.shape}, or not finite",
                expected=f"finite ({len(pixels)}, {model.dim})",
            )
        found.append(np.asarray(plain, dtype=np.float32))
    return found


class _TextReader:
    """Embeds captions, equal ones once; None for what the model cannot read."""

    def __init__(self, model: EvaluatedModel) -> None:
        self._model = model
        self._embed = lru_cache(maxsize=_CACHED_TEXTS)(self._embed_once)

    def __call__(self, text: str | None) -> NDArray[np.float32] | None:
        return None if text is None else self._embed(text)

    def _embed_once(self, text: str) -> NDArray[np.float32] | None:
        try:
            return _vector(self._model, self._model.embed_text(text))
        except QueryError:
            return None


def _vector(model: EvaluatedModel, vector: Any) -> NDArray[np.float32]:
    found = np.asarray(vector, dtype=np.float32)
    if found.shape != (model.dim,) or not np.isfinite(found).all():
        raise ModelError(
            f"{model.name} gave a vector of shape {found.shape}, or not finite",
            expected=f"finite ({model.dim},)",
        )
    return found
