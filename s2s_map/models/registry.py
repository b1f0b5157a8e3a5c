"""Models by name: the embedded ones, the fetched ones, and any folder with card and weights."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from s2s_map.config.model import ModelCard, Precision
from s2s_map.errors import ModelError
from s2s_map.models.checkpoints.places import models_folder
from s2s_map.models.checkpoints.published import PUBLISHED
from s2s_map.models.checkpoints.reading import (
    CARD_FILE,
    WEIGHTS_FILE,
    check_weights_file,
    load_weights,
    read_card,
)
from s2s_map.models.events.card import WEIGHTS_FILE as EVENTS_FILE
from s2s_map.models.events.card import read_events_card
from s2s_map.models.python_model import PREFIX, python_model

if TYPE_CHECKING:
    from s2s_map.models.loaded import LoadedModel

EMBEDDED = Path(__file__).parent / "data"


def list_models() -> list[ModelCard]:
    """Cards of the embedded models, by name.

    Examples:
        >>> [card.name for card in list_models()]
        ['s2s-mini']
    """
    return [read_card(path.parent) for path in sorted(EMBEDDED.glob(f"*/{CARD_FILE}"))]


def fetched_models() -> list[ModelCard]:
    """Cards of the models that were fetched or converted on this machine, by name."""
    folder = models_folder()
    return [read_card(path.parent) for path in sorted(folder.glob(f"**/{CARD_FILE}"))]


def model_card(name: str | Path) -> ModelCard:
    """The card of a model, without loading its weights.

    Args:
        name: A name out of `list_models`, a folder with a card and weights, or
            ``python:MODULE:NAME``, see `PythonModel`.

    Raises:
        ModelError: For an unknown name or an unusable card.
    """
    if str(name).startswith(PREFIX):
        return python_model(str(name)).card
    return read_card(model_folder(name))


def model_folder(name: str | Path) -> Path:
    """The folder of a model.

    Raises:
        ModelError: For an unknown name; it names the nearest known ones.
    """
    text = str(name)
    if text in _names():
        return EMBEDDED / text
    if (models_folder() / text / CARD_FILE).is_file():
        return models_folder() / text
    if text in PUBLISHED:
        from s2s_map.models.checkpoints.hub import how_to_carry

        raise ModelError(
            f"the published model {text} is not on this machine",
            remedy=f"run: s2s-map models fetch {text}. Without a network, {how_to_carry(text)}; "
            f"or use the embedded model {', '.join(_names())}",
        )
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    near = get_close_matches(text, [*_names(), *PUBLISHED], n=2, cutoff=0.5)
    guess = f"did you mean {' or '.join(near)}? " if near else ""
    raise ModelError(
        f"unknown model {text!r}",
        remedy=f"{guess}Known: {', '.join([*_names(), *PUBLISHED])}; "
        f"or give a folder with {CARD_FILE} and {WEIGHTS_FILE}",
    )


def load_model(name: str | Path, device: str = "cpu", precision: Precision = "fp32") -> LoadedModel:
    """Load a model, ready to embed.

    Args:
        name: A name out of `list_models`, a folder with a card and weights, or
            ``python:MODULE:NAME``, see `PythonModel`.
        device: "cpu", "cuda" or "cuda:N".
        precision: What the satellite branch multiplies in; "auto" decides by the device.

    Raises:
        ModelError: For an unknown name, an unusable card or device.
        CheckpointError: If the weights are missing, damaged or do not fit.

    Examples:
        >>> load_model("s2s-mini").embed_text("birds singing").shape
        (256,)
    """
    if str(name).startswith(PREFIX):
        return python_model(str(name)).load(device)
    folder = model_folder(name)
    card = read_card(folder)

    from s2s_map.models.build import build_model, check_size
    from s2s_map.models.loaded import LoadedModel, torch_device
    from s2s_map.models.precision import choose_precision

    where = torch_device(device)
    check_size(card.config, folder / WEIGHTS_FILE)
    network = build_model(card.config)
    load_weights(network, folder / WEIGHTS_FILE, card.sha256)
    network = network.to(where).eval()
    chosen = choose_precision(precision, card.config, device)
    return LoadedModel(card, network.halve() if chosen == "bf16" else network, folder, chosen)


def check_weights(name: str | Path, *, recordings: bool = False) -> None:
    """Check that the weights of a model are there and those of its card, without loading them.

    Args:
        name: A name out of `list_models`, or a folder with a card and weights.
        recordings: Whether it is to be asked with recordings, which may need further weights.

    Raises:
        ModelError: For an unknown name or an unusable card.
        CheckpointError: If the weights are missing or damaged.
    """
    folder = model_folder(name)
    card = read_card(folder)
    check_weights_file(folder / WEIGHTS_FILE, card.sha256)
    if recordings and card.config.audio.kind == "events":
        check_weights_file(folder / EVENTS_FILE, read_events_card(folder).sha256)


def _names() -> list[str]:
    return sorted(path.parent.name for path in EMBEDDED.glob(f"*/{CARD_FILE}"))
