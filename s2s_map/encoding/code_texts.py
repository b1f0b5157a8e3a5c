"""Which codes the background vocabulary activates: what a code is about, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from s2s_map.encoding.query_model import encoder_key
from s2s_map.encoding.vector_cache import cache_key, load_cached, store_cached
from s2s_map.encoding.vocabulary import load_vocabulary

if TYPE_CHECKING:
    from s2s_map.models.loaded import LoadedModel


def vocabulary_codes(
    model: LoadedModel, cache_dir: Path | None = None
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Return the texts of the background vocabulary and how strongly each activates each code.

    Args:
        model: The model.
        cache_dir: Where they are kept for the next time, by model; None: nowhere.

    Returns:
        The texts, and activations of shape (texts, codes), see `models.codes.text_codes`.
    """
    from s2s_map.models.codes import text_codes

    stated = load_vocabulary("text")
    codes = model.card.config.codebook.size
    key = cache_key("vocabulary activations", stated.sha256, encoder_key(model, "text"))
    cached = load_cached(cache_dir, key, codes)
    if cached is not None and len(cached[0]) == len(stated.names):
        return stated.names, cached[0]
    active = np.stack([text_codes(model, name) for name in stated.names])
    store_cached(cache_dir, key, active, {})
    return stated.names, active
