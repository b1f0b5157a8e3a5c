"""The device that a run computes on."""

from __future__ import annotations


def resolve_device(name: str) -> str:
    """Return the device that "auto" is here, others as they are."""
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
