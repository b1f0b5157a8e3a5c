"""Which codes of the codebook a patch or a text is a mix of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2s_map.models.loaded import LoadedModel
from s2s_map.models.metadata import Metadata
from s2s_map.models.sat2sound import unit
from s2s_map.models.threads import one_thread


@dataclass(frozen=True, eq=False)
class PatchCodes:
    """A patch as a mix of codes.

    Attributes:
        vector: Unit embedding (dim,) of the whole patch.
        length: Length of the embedding before it was scaled.
        tokens: Unit embedding of each token (tokens, dim), row by row.
        weights: Share of each code in the patch's mix (codes,), adding up to 1.
    """

    vector: NDArray[np.float32]
    length: float
    tokens: NDArray[np.float32]
    weights: NDArray[np.float32]


def patch_codes(
    model: LoadedModel, pixels: NDArray[np.uint8], resolution_m: float, metadata: Metadata | None
) -> PatchCodes:
    """Embed one patch and keep the mix.

    Args:
        model: The model.
        pixels: Red, green, blue (3, input_px, input_px).
        resolution_m: What `LoadedModel.resolution_for` gives.
        metadata: Encoded metadata of the patch; None: unknown.
    """
    network = model.network
    with torch.inference_mode():
        images, resolution = model.prepare(torch.from_numpy(pixels[None]), resolution_m)
        tokens = network.fuse(network.image_tokens(images, resolution), metadata)
        queries = network.fdt.query(tokens, "image")
        weights = network.fdt.weights(network.fdt.pooled_scores(queries))
        vector = network.fdt.mix(weights).float()
        each = unit(network.embed_tokens(tokens, level="token").float())
    return PatchCodes(
        _numpy(unit(vector)[0]), float(vector.norm()), _numpy(each[0]), _numpy(weights[0])
    )


def text_codes(model: LoadedModel, text: str) -> NDArray[np.float32]:
    """Return how strongly a text activates each code (codes,).

    A code's best score over the text's tokens, before sparsemax, which leaves most codes of a text
    at zero; in standard deviations of the text's scores, so that texts compare with each other.

    Raises:
        QueryError: For an empty or too long text.
    """
    codebook = model.network.fdt
    with torch.inference_mode(), one_thread():
        features = model.text_encoder.tokens(text).to(model.device)
        scores = codebook.pooled_scores(codebook.query(features, "text"))[0].float()
        return _numpy((scores - scores.mean()) / scores.std().clamp_min(1e-12))


def codebook_vectors(model: LoadedModel) -> NDArray[np.float32]:
    """Return the codes (codes, dim)."""
    with torch.inference_mode():
        return _numpy(model.network.fdt.space_dict.detach())


def _numpy(values: Tensor) -> NDArray[np.float32]:
    return np.asarray(values.float().cpu().numpy(), dtype=np.float32)
