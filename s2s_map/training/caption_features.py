"""The frozen text encoder of a config, and what it makes of a set's captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from s2s_map.config.files import file_sha256
from s2s_map.config.model import FlanT5Config, MiniLMConfig
from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.datasets.reading import SoundDataset, open_dataset
from s2s_map.errors import ModelError
from s2s_map.models.protocols import TextEncoder
from s2s_map.training.sound_data import wanted_for
from s2s_map.training.text_features import TextFeatures


def caption_features(
    config: SoundTrainConfig,
    splits: Sequence[SoundDataset],
    encoder: TextEncoder,
    identity: str,
    *,
    cache: Path | None = None,
    complete: bool = False,
) -> TextFeatures:
    """Features of all captions that the losses need, computed where they are missing.

    Args:
        config: Says which captions, and where features are kept.
        splits: The splits; of those that are streamed a stream of captions alone is read first.
        encoder: The frozen encoder.
        identity: What tells its features from another's.
        cache: Folder of the `datasets` library's cache.
        complete: Whether an earlier start has seen all captions.
    """
    features = TextFeatures(config.output / "text_features" / identity)
    if complete:
        return features
    wanted = wanted_for(config)
    captions = replace(wanted, images=(), mel=False, metadata=False)
    texts: set[str] = set()
    for rows in splits:
        columns = [rows.schema.captions[key] for key in wanted.captions]
        columns += ["audio_caption"] * wanted.audio_caption
        if rows.streamed and columns:
            rows = open_dataset(  # noqa: PLW2901 - the same split, fewer columns
                config.dataset.path, rows.split, captions, streaming=True, cache=cache
            )
        texts.update(text.strip() for text in rows.texts(*columns) if text.strip())
    features.add(encoder, sorted(texts))
    return features


def text_encoder_of(config: SoundTrainConfig) -> tuple[TextEncoder, str]:
    """The frozen text encoder, and what tells its features from another's."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    text = config.model.text
    if isinstance(text, FlanT5Config):
        from s2s_map.models.text.encoder_files import find_text_encoder
        from s2s_map.models.text.t5 import WEIGHTS_FILE, FlanT5TextEncoder

        folder = find_text_encoder(text)
        if folder is None:
            raise ModelError(
                f"training reads captions with {text.source}, which is not on this machine",
                remedy="run: s2s-map models fetch sat2sound/sentinel_nometa, which brings it",
            )
        identity = file_sha256(folder / WEIGHTS_FILE)[:12]
        return FlanT5TextEncoder.load(text, folder, device), f"flan-t5-{identity}"
    if not isinstance(text, MiniLMConfig):
        raise ModelError(f"training reads captions with {text.kind}", expected="minilm or flan-t5")
    from s2s_map.models.text.minilm import MiniLMTextEncoder

    name = "minilm-sentence" if text.sentence_token else "minilm"
    return MiniLMTextEncoder.load(text, device=device), name
