"""Weights that training begins with, and checkpoints that it goes on from."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from s2s_map.config.train_sounds import StartConfig
from s2s_map.errors import CheckpointError, ConfigError
from s2s_map.models.checkpoints.lightning_file import HARMLESS
from s2s_map.models.checkpoints.reading import WEIGHTS_FILE, compare_keys, load_weights, read_card
from s2s_map.models.registry import model_folder
from s2s_map.models.sat2sound import Sat2Sound
from s2s_map.training.sound_batch import StreamPlace

PREFIX = "network."
STREAM = "s2s_map_stream"
"""Where a checkpoint says at which place its stream goes on."""

CONSTANTS = (".attn_mask", ".relative_position_index")
CONSTANT_MODULE = "audio_feats_extractor."


def load_start(network: Sat2Sound, start: StartConfig) -> None:
    """Load what training starts from, in place.

    Raises:
        ConfigError: For weights of an audio encoder that the model has not.
        ModelError: For an unknown model.
        CheckpointError: For a file that is damaged, unsafe, or of another size.
    """
    if start.model is not None:
        folder = model_folder(start.model)
        load_weights(network, folder / WEIGHTS_FILE, read_card(folder).sha256)
    if start.image is not None:
        load_part(network.satmae_backbone.backbone, start.image)
    if start.audio is not None:
        if not hasattr(network, "audio_encoder"):
            raise ConfigError("start.audio is given for a model without an audio encoder")
        encoder = network.audio_encoder.model["audio_enc"]
        load_part(encoder, start.audio)


def load_part(part: nn.Module, path: Path) -> None:
    """Load one encoder out of a file that holds it under any prefix, among other weights.

    Raises:
        CheckpointError: If the file is damaged or unsafe, or holds no such encoder.
    """
    content = read_checkpoint(path)
    expected = part.state_dict()
    # What follows from the architecture may be stored otherwise, or not at all.
    needed = {
        key: value
        for key, value in expected.items()
        if not key.endswith(CONSTANTS) and CONSTANT_MODULE not in key
    }
    anchor = next(iter(needed))
    faults = f"no weight called {anchor}"
    for weights in _state_dicts(content):
        for key in weights:
            if not key.endswith(anchor):
                continue
            prefix = key.removesuffix(anchor)
            found = {name: weights[prefix + name] for name in needed if prefix + name in weights}
            faults = compare_keys(needed, found)
            if not faults:
                part.load_state_dict(expected | found)
                return
    raise CheckpointError(
        f"{path} does not fit the encoder: {faults}",
        expected="weights of an encoder of the configured sizes",
    )


def check_resumable(network: nn.Module, path: Path) -> tuple[int, StreamPlace | None]:
    """Check that a checkpoint of an earlier start fits.

    Returns:
        The batches it has seen, and where a stream goes on.

    Raises:
        CheckpointError: If it is damaged, or of a network of other sizes.
    """
    content = read_checkpoint(path)
    weights = content.get("state_dict")
    if not isinstance(weights, Mapping):
        raise CheckpointError(f"{path} has no state_dict", expected="a checkpoint of training")
    found = {key.removeprefix(PREFIX): value for key, value in weights.items()}
    faults = compare_keys(network.state_dict(), found)
    if faults:
        raise CheckpointError(
            f"{path} does not fit the network: {faults}",
            remedy="train with the sizes it was begun with, or choose another output folder",
        )
    batches = content.get("loops", {}).get("fit_loop", {})
    done = int(batches["epoch_loop.batch_progress"]["total"]["completed"])
    place = content.get(STREAM)
    return done, None if place is None else StreamPlace(*map(int, place))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of tensors and plain values, without running code from it.

    Raises:
        CheckpointError: If it is missing, damaged or asks for more.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return {"state_dict": load_file(path)}
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint at {path}", remedy="check the path") from None
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} asks for more than weights and was not opened",
            expected="a checkpoint of tensors and plain values",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} does not open as a checkpoint ({first[:120]})") from None
    return content if isinstance(content, dict) else {}


def _state_dicts(content: Mapping[str, Any]) -> Iterator[dict[str, Tensor]]:
    """Mappings of names to tensors within a checkpoint, outer ones first."""
    tensors = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if tensors:
        yield tensors
    for value in content.values():
        if isinstance(value, Mapping):
            yield from _state_dicts(value)
