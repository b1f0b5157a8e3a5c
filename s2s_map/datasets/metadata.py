"""Metadata of samples as model inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from s2s_map.config.model import MaskedTokens, MetadataField
from s2s_map.datasets.sample import SoundSample
from s2s_map.models.metadata import AUDIO_SOURCES, CAPTION_SOURCES, Metadata, encode_metadata


def sample_metadata(
    samples: Sequence[SoundSample],
    fields: Sequence[MetadataField],
    masked_tokens: MaskedTokens | None = None,
) -> Metadata:
    """Encode the metadata of samples; what a sample does not say is unknown.

    Args:
        samples: The batch.
        fields: Which to tell; the others are unknown.
        masked_tokens: See `Metadata`.
    """
    platforms = [sample.audio_source for sample in samples]
    writers = [sample.audio_caption_source for sample in samples]
    told = set(fields)
    found = encode_metadata(
        latitude=[sample.latitude for sample in samples] if "latlong" in told else None,
        longitude=[sample.longitude for sample in samples] if "latlong" in told else None,
        month=[sample.month for sample in samples] if "month" in told else None,
        hour=[sample.hour for sample in samples] if "time" in told else None,
        # An unknown source gets some source's number, and is hidden below.
        audio_source=[p or next(iter(AUDIO_SOURCES)) for p in platforms]
        if "asource" in told
        else None,
        caption_source=[w or next(iter(CAPTION_SOURCES)) for w in writers]
        if "tsource" in told
        else None,
        masked_tokens=masked_tokens,
    )
    if "asource" in told:
        found.valid["asource"] = torch.tensor([p is not None for p in platforms])
    if "tsource" in told:
        found.valid["tsource"] = torch.tensor([w is not None for w in writers])
    return found
