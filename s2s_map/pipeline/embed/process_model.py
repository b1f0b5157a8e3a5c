"""What a process keeps between blocks: the model, and the turn to use the device."""

from __future__ import annotations

import platform
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock

from s2s_map.config.model import Precision
from s2s_map.encoding.satellite import PatchEncoder
from s2s_map.models.registry import load_model
from s2s_map.pipeline.job.device import resolve_device

WORKER = uuid.uuid4().hex[:8]
"""Tells this process apart in the ledger, without naming its host."""

_LOADING = Lock()
_HELD: dict[tuple[str, str, Precision], HeldModel] = {}


@dataclass(frozen=True, eq=False)
class HeldModel:
    """A loaded model of this process.

    Attributes:
        encoder: The model.
        turn: One block at a time is encoded; others are read and written meanwhile.
    """

    encoder: PatchEncoder
    turn: Lock = field(default_factory=Lock)


def held_model(name: str, device: str, precision: Precision) -> HeldModel:
    """Return a model of this process, loaded when first asked for.

    Args:
        name: Name or folder.
        device: "auto", "cpu", "cuda" or "cuda:N", of this machine.
        precision: What it multiplies in.

    Raises:
        ModelError: If it cannot be loaded here.
    """
    with _LOADING:
        key = (name, device, precision)
        if key not in _HELD:
            _HELD[key] = HeldModel(load_model(name, resolve_device(device), precision))
        return _HELD[key]


@contextmanager
def lent_model(
    name: str, device: str, precision: Precision, encoder: PatchEncoder
) -> Iterator[None]:
    """Let the blocks of this process use a model that is loaded already."""
    with _LOADING:
        _HELD[name, device, precision] = HeldModel(encoder)
    try:
        yield
    finally:
        with _LOADING:
            _HELD.pop((name, device, precision), None)


def encoder_hardware(device: str) -> str:
    """Return what decides how torch multiplies here: a GPU's name, or kernels and processor.

    Libraries choose by more than the instructions that a processor has: with those of AVX-512
    an AMD EPYC does not round as an Intel Xeon does.

    Args:
        device: "cpu", "cuda" or "cuda:N".
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return ""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    kernels = str(torch.backends.cpu.get_cpu_capability())
    return ", ".join(part for part in (kernels, _processor()) if part)


@cache
def _processor() -> str:
    """The processor's name, such as "AMD EPYC 9354"; "" if not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def encoder_threads() -> int:
    """Return the processor threads that torch uses here; 1 where a model needs no torch."""
    torch = sys.modules.get("torch")
    return int(torch.get_num_threads()) if torch is not None else 1
