"""Lightning checkpoints of unknown origin, read without running code from them."""

from __future__ import annotations

import argparse
import pathlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2s_map.errors import CheckpointError

HARMLESS: list[Any] = [argparse.Namespace, pathlib.PosixPath, pathlib.PurePosixPath]
"""Beyond tensors and plain containers, the types that training options are made of: making one
runs no code of the file's choice and touches no disk."""


@dataclass(frozen=True, eq=False)
class LightningFile:
    """What counts in a Lightning checkpoint.

    Attributes:
        weights: The state dict; its tensors lie in the file and are read when used.
        options: The hyper-parameters.
    """

    weights: dict[str, Tensor]
    options: dict[str, Any]


def read_lightning(path: Path) -> LightningFile:
    """Read weights and options of a Lightning checkpoint.

    Unpickling is limited to tensors, plain containers and `HARMLESS`: a file that asks for
    anything else is refused before anything of it is called.

    Raises:
        CheckpointError: If the file is missing, damaged, unsafe or no Lightning checkpoint.
    """
    try:
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint at {path}", remedy="check the path") from None
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} asks for more than weights and was not opened: {_asked_for(error)}",
            expected="a checkpoint of tensors and plain values",
            remedy="do not trust this file; use one from the model's own repository",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} does not open as a checkpoint ({first[:120]})",
            remedy="it is damaged or cut short: download it again",
        ) from None
    return _parts(content, path)


def _parts(content: Any, path: Path) -> LightningFile:
    weights = content.get("state_dict") if isinstance(content, dict) else None
    options = content.get("hyper_parameters") if isinstance(content, dict) else None
    if not isinstance(weights, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise CheckpointError(
            f"{path} has no state_dict of tensors", expected="a Lightning checkpoint"
        )
    if isinstance(options, argparse.Namespace):
        options = vars(options)
    if isinstance(options, Mapping) and len(options) == 1:
        # Options handed over as one object are kept under its argument's name.
        (only,) = options.values()
        options = vars(only) if isinstance(only, argparse.Namespace) else options
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise CheckpointError(
            f"{path} has no hyper_parameters", expected="a Lightning checkpoint with its options"
        )
    return LightningFile(dict(weights), dict(options))


def _asked_for(error: pickle.UnpicklingError) -> str:
    # torch says in many lines how to switch the protection off; what was asked for is in one.
    for line in str(error).splitlines():
        for mark in ("Unsupported global: ", "Unsupported class ", "Unsupported operand"):
            if mark in line:
                return line[line.index(mark) :].split(" was not")[0].split(". ")[0]
    return "an unsupported pickle"
