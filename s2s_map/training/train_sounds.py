"""From a config and a data set of sounds to weights and a card."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning

from s2s_map.atomic import write_json
from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.datasets.reading import open_dataset
from s2s_map.errors import InterruptedRunError, OutputMismatchError
from s2s_map.models.audio.htsat import Htsat
from s2s_map.models.build import build_model
from s2s_map.training.audio_noise import prepare_audio
from s2s_map.training.caption_features import caption_features, text_encoder_of
from s2s_map.training.sound_card import finish
from s2s_map.training.sound_data import wanted_for
from s2s_map.training.sound_loaders import SoundLoaders
from s2s_map.training.sound_module import SoundModule
from s2s_map.training.starting import check_resumable, load_start
from s2s_map.training.trainer import CHECKPOINTS, LAST, check_logs, trainer_of

log = logging.getLogger(__name__)

CONFIG_FILE = "train.json"
MAY_CHANGE = (
    "output",
    "log",
    "card",
    "title",
    "devices",
    "check_every",
    "optimiser.steps",
    "dataset.workers",
)
"""What may differ when training goes on: it does not decide what a step of a device does."""


def train_sounds(config: SoundTrainConfig, cache: Path | None = None) -> Path:
    """Train a model and write its weights and card; goes on where an earlier start stopped.

    Args:
        config: Everything that decides the outcome.
        cache: Folder of the `datasets` library's cache; None: where it keeps it.

    Returns:
        The folder with model.safetensors and card.json; checkpoints, logs, text features and the
        list of skipped rows lie beside.

    Raises:
        DataError: If data are missing or unusable, or training diverges.
        CheckpointError: If a checkpoint is damaged or of another size.
        OutputMismatchError: If the folder belongs to training with another config.
        InterruptedRunError: If it was stopped; it goes on when started again.
    """
    lightning.seed_everything(config.seed, verbose=False)
    # What is small and may be wrong comes before the data are copied into the cache.
    check_logs(config)
    text_encoder = text_encoder_of(config)
    network = build_model(config.network)
    last = config.output / CHECKPOINTS / LAST
    done, place = check_resumable(network, last) if last.exists() else (0, None)
    if not done:
        load_start(network, config.start)
    data, wanted = config.dataset, wanted_for(config)
    splits = {
        name: open_dataset(data.path, name, wanted, streaming=data.streaming, cache=cache)
        for name in dict.fromkeys((data.train, data.validation))
    }
    _claim(config)
    if hasattr(network, "audio_encoder"):
        encoder = network.audio_encoder.model["audio_enc"]
        if isinstance(encoder, Htsat):
            prepare_audio(encoder, config.audio_noise)
    features = caption_features(
        config,
        list(splits.values()),
        *text_encoder,
        cache=cache,
        complete=data.streaming and done > 0,
    )
    module = SoundModule(network, config)
    trainer = trainer_of(config, done)
    loaders = SoundLoaders(config, splits, features, done, place)
    log.info("training from batch %d to step %d", done, config.optimiser.steps)
    stopped = False
    try:
        trainer.fit(module, datamodule=loaders, ckpt_path=last if done else None, weights_only=True)
    except SystemExit:  # Lightning's answer to Ctrl-C and SIGTERM
        stopped = True
    if stopped or trainer.interrupted:
        raise InterruptedRunError(
            f"training was stopped at step {trainer.global_step}",
            remedy="start the same command again: it goes on from the last checkpoint",
        )
    if trainer.is_global_zero:
        finish(config, module)
    return config.output


def _claim(config: SoundTrainConfig) -> None:
    """Refuse a folder of training with another config, else note this one's."""
    path = config.output / CONFIG_FILE
    ours = json.loads(config.model_dump_json())
    if path.exists():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        differ = list(_differences(ours, theirs))
        if differ:
            raise OutputMismatchError(
                f"{config.output} holds training with another {', '.join(differ)}",
                remedy="choose another output folder, or delete it",
            )
    write_json(path, ours)


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """Names of keys that differ where they may not, parts with their whole: `optimiser.rate`."""
    for key, value in ours.items():
        other = theirs.get(key)
        if key in MAY_CHANGE or value == other:
            continue
        if not (isinstance(value, Mapping) and isinstance(other, Mapping)):
            yield key
            continue
        for part in {**other, **value}:
            name = f"{key}.{part}"
            if name not in MAY_CHANGE and value.get(part) != other.get(part):
                yield name
