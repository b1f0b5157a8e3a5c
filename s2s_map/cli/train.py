"""``s2s-map train``: train a model from a config."""

from __future__ import annotations

from rich.console import Console

from s2s_map.cli.options import ConfigFile


def train_command(config: ConfigFile) -> None:
    """Train a model; workflows/train_mini.yaml makes the embedded one from scratch."""
    from s2s_map.config.load import parse_model, read_yaml
    from s2s_map.config.train import TrainConfig

    settings = parse_model(TrainConfig, read_yaml(config), str(config))
    from s2s_map.training.train import train

    folder = train(settings)
    Console().print(f"wrote the model to {folder}", highlight=False)
