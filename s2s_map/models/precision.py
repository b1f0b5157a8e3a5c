"""Layers that compute in bfloat16 where that is fast, and in float32 where it matters.

Matrix products take nearly all of the time and are done in the type of their weights. What is added
up over many layers (the residual stream), normalised (layer norms), or decided by small differences
(sparsemax) stays in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2s_map.config.model import ModelConfig, Precision


@runtime_checkable
class Halvable(Protocol):
    """A module that keeps some of its own weights in bfloat16 when asked to."""

    def halve(self) -> None:
        """Convert the weights of its matrix products, those of its children excepted."""


class Linear(nn.Linear):
    """An affine map in the type of its weights, whatever the type of its input."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (..., in) to (..., out), in the type of the weights."""
        return F.linear(tokens.to(self.weight.dtype), self.weight, self.bias)

    def halve(self) -> None:
        """Convert weights and bias."""
        self.to(torch.bfloat16)


class LayerNorm(nn.LayerNorm):
    """Layer norm in float32, whatever the type of its input."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalise (..., dim) as float32."""
        return F.layer_norm(
            tokens.to(self.weight.dtype), self.normalized_shape, self.weight, self.bias, self.eps
        )


def halve(parts: Iterable[nn.Module]) -> None:
    """Convert the matrix products of modules to bfloat16, in place."""
    for part in parts:
        for module in part.modules():
            if isinstance(module, Halvable):
                module.halve()


def fast_bf16(device: str) -> bool:
    """Whether a device multiplies bfloat16 faster than float32.

    Args:
        device: "cpu", "cuda" or "cuda:N".
    """
    where = torch.device(device)
    if where.type == "cuda":
        # Emulation, which is slow, does not count: that is Ampere and later.
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if where.type != "cpu":
        return False
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))


def choose_precision(asked: Precision, config: ModelConfig, device: str) -> Precision:
    """Turn "auto" into "fp32" or "bf16".

    Args:
        asked: What the config says.
        config: Sizes of the model. A convolutional image encoder gains nothing worth a change of
            its numbers: its own layers stay float32.
        device: "cpu", "cuda" or "cuda:N".
    """
    if asked != "auto":
        return asked
    return "bf16" if config.image.gains_from_bf16 and fast_bf16(device) else "fp32"
