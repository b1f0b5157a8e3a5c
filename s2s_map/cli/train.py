"""``s2s-map train``: train a model from a config."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from s2s_map.cli.console import Console
from s2s_map.cli.options import ConfigFile
from s2s_map.cli.stopping import resumable

if TYPE_CHECKING:
    from pathlib import Path


def train_command(config: ConfigFile) -> None:
    """Train a model on sounds with imagery and captions; goes on where an earlier start stopped.

    workflows/train/ has configs to begin with.
    """
    _show_progress()
    with resumable("training"):
        folder = _train(config)
    Console().print(f"wrote the model to {folder}", highlight=False)


def _show_progress() -> None:
    from rich.logging import RichHandler

    logger = logging.getLogger("s2s_map")
    logger.setLevel(logging.INFO)
    logger.addHandler(RichHandler(console=Console(stderr=True), show_path=False))
    # What Lightning says of GPUs and of its makers' services is not the user's business.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def _train(config: Path) -> Path:
    from s2s_map.config.load import parse_model, read_yaml
    from s2s_map.errors import ConfigError
    from s2s_map.extras import check_extra

    check_extra("train", "training", "datasets", "torchvision", error=ConfigError)
    content = read_yaml(config)
    if isinstance(content, Mapping) and "scenes" in content:
        raise ConfigError(
            f"{config} trains on scenes of land cover, as the embedded model was made",
            expected="a config with dataset:",
            remedy=f"in a clone of the project: python workflows/mini train {config}",
        )
    from s2s_map.config.train_sounds import SoundTrainConfig

    sounds = parse_model(SoundTrainConfig, content, str(config))
    from s2s_map.training.train_sounds import train_sounds

    return train_sounds(sounds)
