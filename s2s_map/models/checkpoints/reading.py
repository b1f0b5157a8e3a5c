"""Weights on disk: safetensors beside a JSON card that knows their hash."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from s2s_map.atomic import write_text, written_beside
from s2s_map.config.files import file_sha256, read_bounded
from s2s_map.config.model import ModelCard
from s2s_map.errors import CheckpointError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "card.json"
_MOST_CARD_BYTES = 4_000_000


def save_model(
    folder: Path, network: nn.Module, card: ModelCard, *, half: bool = False
) -> ModelCard:
    """Write a network's weights and card into a folder, each file at once or not at all.

    Args:
        folder: Made if missing; other files in it stay.
        network: What to save.
        card: Its `sha256` is replaced by that of the weights written.
        half: Keep floating-point weights as float16, half the size.

    Returns:
        The card as written.
    """
    weights = {
        key: (value.half() if half and value.is_floating_point() else value).contiguous().cpu()
        for key, value in network.state_dict().items()
    }
    return save_weights(folder, weights, card)


def save_weights(folder: Path, weights: Mapping[str, Tensor], card: ModelCard) -> ModelCard:
    """Write weights and card into a folder; see `save_model`."""
    from safetensors.torch import save_file

    with written_beside(folder / WEIGHTS_FILE) as partial:
        save_file(dict(weights), partial)
        card = card.model_copy(update={"sha256": file_sha256(partial)})
    write_card(folder, card)
    return card


def write_card(folder: Path, card: ModelCard) -> None:
    """Write a card into a model's folder, at once or not at all.

    Raises:
        ModelError: For a folder that cannot be written.
    """
    try:
        write_text(folder / CARD_FILE, card.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise ModelError(
            f"cannot write {folder / CARD_FILE}: {error.strerror or error}",
            remedy="copy the model's folder to a place of your own and name that",
        ) from None


def read_card(folder: Path) -> ModelCard:
    """Read the card of a model folder.

    Raises:
        ModelError: If there is none, or it does not validate.
    """
    path = folder / CARD_FILE
    try:
        return ModelCard.model_validate_json(read_bounded(path, _MOST_CARD_BYTES))
    except FileNotFoundError:
        raise ModelError(
            f"no {CARD_FILE} in {folder}", expected=f"a folder with {CARD_FILE} and {WEIGHTS_FILE}"
        ) from None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelError(
            f"{path}: {place}: {first['msg'].removeprefix('Value error, ')}",
            expected="a model card of this version",
        ) from None


def load_weights(network: nn.Module, path: Path, sha256: str) -> None:
    """Load weights into a network, after checking that they are the ones expected.

    Args:
        network: Every parameter and buffer of it must be in the file, and no other.
        path: A safetensors file.
        sha256: Expected hash, hexadecimal.

    Raises:
        CheckpointError: If the file is missing or damaged, or does not fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_weights_file(path, sha256)
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}", expected="a safetensors file") from None
    faults = compare_keys(network.state_dict(), weights)
    if faults:
        raise CheckpointError(
            f"{path} does not fit the network: {faults}",
            remedy="use weights and card of the same model",
        )
    network.load_state_dict(weights)


def check_weights_file(path: Path, sha256: str) -> None:
    """Check that a file of weights is there and the one expected.

    Raises:
        CheckpointError: If it is missing or another one.
    """
    try:
        found = file_sha256(path)
    except FileNotFoundError:
        raise CheckpointError(
            f"no weights at {path}", remedy="install or download the model again"
        ) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from None
    if found != sha256:
        raise CheckpointError(
            f"{path} has SHA-256 {found}",
            expected=f"{sha256 or 'a hash'} by its card",
            remedy="the file is damaged or not of this card: install or download it again",
        )


def compare_keys(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Say in one line how weights differ from what a network needs; empty if they fit."""
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    wrong = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    ]
    lists = {"missing": missing, "unexpected": unexpected, "wrong shape": wrong}
    return "; ".join(f"{len(v)} {k}: {_shorten(v)}" for k, v in lists.items() if v)


def _shorten(items: list[str], most: int = 5) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def kept_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal, read once for as long as its times and size stay.

    For what a file is known by. Whether its content is whole is a question for `file_sha256`.
    """
    stat = path.stat()
    return _kept_sha256(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=64)
def _kept_sha256(path: Path, *_state: int) -> str:
    return file_sha256(path)
