"""From a training config and prepared data to weights and a card."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from s2s_map.config.making_time import making_time
from s2s_map.config.model import MiniLMConfig, ModelCard, SoftmaxCard, TrainingCard
from s2s_map.errors import ConfigError, DataError
from s2s_map.models.build import build_model
from s2s_map.models.checkpoints.reading import save_model
from s2s_map.models.image.mini import MiniImageEncoder
from s2s_map.models.protocols import TextEncoder
from s2s_map.models.sat2sound import Sat2Sound
from s2s_map.training.progress import LogLosses
from s2s_mini.batches import PatchBatches
from s2s_mini.config import TrainConfig
from s2s_mini.module import SoundscapeModule
from s2s_mini.scenes import TrainingScene
from s2s_mini.seen import seen_of
from s2s_mini.stem import load_imagenet_stem
from s2s_mini.texts import CaptionFile, encode_texts
from s2s_mini.validate import Validation, validate

log = logging.getLogger(__name__)

VERSIONS = ("torch", "lightning", "timm", "numpy")
DEFAULT_TEMPERATURE = 0.07
NO_HASH = "0" * 64


@dataclass(frozen=True)
class Prepared:
    """Training data in memory."""

    captions: CaptionFile
    features: Tensor
    scenes: list[TrainingScene]


def prepare(config: TrainConfig, encoder: TextEncoder) -> Prepared:
    """Read scenes and captions and encode the captions.

    Raises:
        DataError: If a file is missing or unusable.
    """
    captions = CaptionFile.load(config.data / config.captions)
    scenes = [
        TrainingScene.load(config.data / s.file, s.held_out_rows if config.hold_out else ())
        for s in config.scenes
    ]
    covers = {len(scene.cover) for scene in scenes}
    if covers != {len(captions.covers)}:
        raise DataError(
            f"scenes have {sorted(covers)} land covers", expected=f"{len(captions.covers)}"
        )
    log.info("encoding %d captions", len(captions.texts))
    torch.set_num_threads(1)  # short texts one by one: more threads only wait for each other
    features = encode_texts(encoder, captions.texts)
    torch.set_num_threads(config.threads)
    return Prepared(captions, features, scenes)


def build_network(config: TrainConfig) -> tuple[Sat2Sound, tuple[nn.Module, ...]]:
    """Make the untrained network, and name its pretrained parts.

    Raises:
        DataError: If the stem's weights are missing.
        ConfigError: If a stem is given to an encoder that has none.
    """
    network = build_model(config.model)
    if config.stem is None:
        return network, ()
    path = config.data / config.stem
    encoder = network.satmae_backbone.backbone
    if not isinstance(encoder, MiniImageEncoder):
        raise ConfigError(f"stem is set for an image encoder {config.model.image.kind!r}")
    if not path.exists():
        raise DataError(
            f"no stem weights at {path}", remedy="run python workflows/mini prepare first"
        )
    load_imagenet_stem(encoder, torch.load(path, weights_only=True))
    return network, (encoder.stem, encoder.blocks)


def train(config: TrainConfig, encoder: TextEncoder | None = None) -> Path:
    """Train a model and write its weights and card.

    Args:
        config: Everything that decides the outcome; the same config gives the same weights on
            the same machine and software.
        encoder: The frozen text encoder; None: MiniLM, as the model config says.

    Returns:
        The folder with model.safetensors and card.json; each replaced at once.

    Raises:
        DataError: If data is missing or training diverges.
        ConfigError: If the config asks for what cannot be trained here.
    """
    started = time.monotonic()
    lightning.seed_everything(config.seed, verbose=False)
    encoder = encoder or _text_encoder(config)
    prepared = prepare(config, encoder)
    network, pretrained = build_network(config)
    module = SoundscapeModule(network, config.losses, config.optimiser, pretrained)
    batches = PatchBatches(
        config,
        prepared.scenes,
        prepared.features,
        prepared.captions.weights,
        prepared.captions.covers,
    )
    trainer = lightning.Trainer(
        max_steps=config.optimiser.steps,
        accelerator="cpu",
        gradient_clip_val=config.optimiser.clip,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=50,
        callbacks=[LogLosses()],
        enable_progress_bar=False,
    )
    trainer.fit(module, DataLoader(batches, batch_size=None))
    seconds = time.monotonic() - started
    log.info("trained in %.0f s", seconds)
    network.eval()
    result = validate(network, config, prepared.captions, encoder)
    card = make_card(config, result, seconds)
    card = card.model_copy(update={"seen": seen_of(config, prepared.scenes)})
    save_model(config.output, network, card, half=True)
    return config.output


def _text_encoder(config: TrainConfig) -> TextEncoder:
    text = config.model.text
    if not isinstance(text, MiniLMConfig):
        raise ConfigError(f"cannot train with the text encoder {text.kind!r}", expected="minilm")
    from s2s_map.models.text.minilm import MiniLMTextEncoder

    return MiniLMTextEncoder.load(text)


def make_card(config: TrainConfig, result: Validation | None, seconds: float) -> ModelCard:
    """Write the card; its hash is filled in when the weights are saved."""
    card = dict(config.card)
    extra = card.pop("training", {})
    training = extra if isinstance(extra, dict) else {}
    temperature, source = DEFAULT_TEMPERATURE, "the logit scale that training starts from"
    summary = f"{config.optimiser.steps} steps of {config.optimiser.batch} patches"
    if result is not None:
        temperature, source = result.temperature, result.temperature_source
        mean = np.mean(list(result.auc.values()))
        summary += f"; mean AUC on held-out rows {mean:.3f} over {len(result.auc)} held-out texts"
        log.info("held-out AUC: %s", {k: round(v, 4) for k, v in result.auc.items()})
    log.info("%s in %.0f s, temperature %.3f", summary, seconds, temperature)
    values = {
        "name": config.name,
        "title": config.title,
        "config": config.model,
        "sha256": NO_HASH,
        "softmax": SoftmaxCard(temperature=temperature, source=source),
        "training": TrainingCard(
            **{
                "summary": summary,
                "date": making_time().date().isoformat(),
                "seed": config.seed,
                "versions": {name: version(name) for name in VERSIONS},
                **training,
            }
        ),
        **card,
    }
    return ModelCard.model_validate(values)
