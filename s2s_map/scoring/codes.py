"""What a patch's mix of codes says about a query: arrays in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CodeInUse:
    """One code of a patch's mix.

    Attributes:
        index: Its place in the codebook.
        weight: Its share in the mix, 0 to 1.
        contribution: What it adds to the cosine similarity with the query.
        texts: Texts of a vocabulary that activate it most, and how strongly.
    """

    index: int
    weight: float
    contribution: float
    texts: tuple[tuple[str, float], ...]


def strongest_codes(
    weights: NDArray[np.float32],
    length: float,
    codebook: NDArray[np.float32],
    query: NDArray[np.float32],
    activations: NDArray[np.float32],
    names: Sequence[str],
    codes: int = 8,
    texts: int = 3,
) -> list[CodeInUse]:
    """Return the codes with the largest weights in a patch's mix, the strongest first.

    An embedding is the sum of its codes by weight, so its cosine with a unit query is the sum of
    ``weight * (code . query) / length`` over all codes.

    Args:
        weights: Share of each code in the patch (codes,).
        length: Length of the patch's embedding before it was scaled to 1.
        codebook: The codes (codes, dim).
        query: Unit vector (dim,).
        activations: How strongly each text of a vocabulary activates each code (texts, codes).
        names: The texts.
        codes: How many codes at most.
        texts: How many texts a code.
    """
    order = np.argsort(-weights, kind="stable")[:codes]
    found = []
    for index in order[weights[order] > 0]:
        active = activations[:, index]
        best = np.argsort(-active, kind="stable")[:texts]
        found.append(
            CodeInUse(
                int(index),
                float(weights[index]),
                float(weights[index] * (codebook[index] @ query) / length),
                tuple((names[i], float(active[i])) for i in best),
            )
        )
    return found
