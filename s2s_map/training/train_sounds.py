"""From a config and a data set of sounds to weights and a card."""

from __future__ import annotations

import json
import logging
import math
import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from s2s_map.config.model import (
    FlanT5Config,
    ModelCard,
    SoftmaxCard,
    TrainingCard,
)
from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.datasets.reading import SoundDataset, open_dataset
from s2s_map.errors import ConfigError, InterruptedRunError, ModelError, OutputMismatchError
from s2s_map.models.build import build_model
from s2s_map.models.checkpoints import file_sha256, save_model
from s2s_map.models.htsat import Htsat
from s2s_map.models.protocols import TextEncoder
from s2s_map.models.published import IMAGERY
from s2s_map.models.sat2sound import Sat2Sound
from s2s_map.training.audio_noise import add_audio_noise
from s2s_map.training.progress import LogLosses
from s2s_map.training.sound_data import Draw, Draws, SoundItems, wanted_for
from s2s_map.training.sound_module import RECALL, SoundModule
from s2s_map.training.starting import PREFIX, check_resumable, load_start, read_checkpoint
from s2s_map.training.text_features import TextFeatures

log = logging.getLogger(__name__)

VERSIONS = ("torch", "lightning", "timm", "numpy", "datasets")
CHECKPOINTS = "checkpoints"
LAST, BEST = "last.ckpt", "best.ckpt"
CONFIG_FILE = "train.json"
SKIPPED_FILE = "skipped.json"
MAY_CHANGE = ("output", "log", "card", "title", "devices", "check_every")
"""What may differ when training goes on: it does not decide what a step does."""


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
    _check_logs(config)
    text_encoder = _text_encoder(config)
    network = build_model(config.network)
    last = config.output / CHECKPOINTS / LAST
    if last.exists():
        done = check_resumable(network, last)
    else:
        done = 0
        load_start(network, config.start)
    data, wanted = config.dataset, wanted_for(config)
    splits = {
        name: open_dataset(data.path, name, wanted, cache=cache)
        for name in dict.fromkeys((data.train, data.validation))
    }
    _claim(config)
    if hasattr(network, "audio_encoder"):
        encoder = network.audio_encoder.model["audio_enc"]
        if isinstance(encoder, Htsat):
            add_audio_noise(encoder, config.audio_noise)
    features = _features(config, list(splits.values()), *text_encoder)
    module = SoundModule(network, config)
    trainer = _trainer(config, done)
    loaders = SoundLoaders(config, splits, features, done)
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
        _finish(config, module)
    return config.output


class SoundLoaders(lightning.LightningDataModule):
    """The loaders of both splits.

    Args:
        config: Batch, seed, workers.
        splits: Opened splits by name.
        features: Holds the captions' features.
        start: Number of the first batch.
    """

    def __init__(
        self,
        config: SoundTrainConfig,
        splits: dict[str, SoundDataset],
        features: TextFeatures,
        start: int,
    ) -> None:
        super().__init__()
        self._config, self._start = config, start
        data = config.dataset
        self._train = SoundItems(config, splits[data.train], features)
        self._validation = SoundItems(config, splits[data.validation], features)

    def train_dataloader(self) -> DataLoader[Any]:
        """This device's share of every batch."""
        config, trainer = self._config, self.trainer
        draws = Draws(
            len(self._train),
            config.optimiser.batch,
            config.seed,
            start=self._start,
            rank=trainer.global_rank if trainer else 0,
            devices=trainer.world_size if trainer else 1,
        )
        return self._loader(self._train, draws)

    def val_dataloader(self) -> DataLoader[Any]:
        """The whole validation split, in order and unchanged."""
        count, size = len(self._validation), self._config.optimiser.batch
        rows = [Draw(row, None) for row in range(count)]
        return self._loader(self._validation, [rows[i : i + size] for i in range(0, count, size)])

    def _loader(self, items: SoundItems, batches: Any) -> DataLoader[Any]:
        workers = self._config.dataset.workers
        return DataLoader(
            items,
            batch_sampler=batches,
            collate_fn=items.collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        )


def _trainer(config: SoundTrainConfig, done: int) -> lightning.Trainer:
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

    batches = config.optimiser.accumulate
    # A start of its own each time: loggers would delete what an earlier one wrote.
    name = f"from-step-{done // batches}"
    logs = config.output / "logs"
    loggers: list[Any] = [
        CSVLogger(logs, name="csv", version=name, flush_logs_every_n_steps=config.log.every)
    ]
    if config.log.tensorboard:
        loggers.append(TensorBoardLogger(logs, name="tensorboard", version=name))
    if config.log.wandb is not None:
        from lightning.pytorch.loggers import WandbLogger

        loggers.append(
            WandbLogger(project=config.log.wandb, name=config.name, save_dir=config.output)
        )
    folder = config.output / CHECKPOINTS
    gpu = torch.cuda.is_available()
    return lightning.Trainer(
        max_steps=config.optimiser.steps,
        max_epochs=-1,
        accelerator="gpu" if gpu else "cpu",
        devices=config.devices,
        # Parts of the published audio encoder have no influence, nor have unused losses' scales.
        strategy="ddp_find_unused_parameters_true" if config.devices > 1 else "auto",
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        accumulate_grad_batches=batches,
        gradient_clip_val=config.optimiser.clip,
        sync_batchnorm=gpu and config.devices > 1,
        val_check_interval=config.check_every * batches,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        log_every_n_steps=config.log.every,
        logger=loggers,
        callbacks=[
            ModelCheckpoint(
                folder, BEST.removesuffix(".ckpt"), monitor=RECALL, mode="max",
                save_on_train_epoch_end=False, enable_version_counter=False,
            ),
            ModelCheckpoint(
                folder, LAST.removesuffix(".ckpt"), every_n_train_steps=config.check_every,
                save_on_train_epoch_end=False, enable_version_counter=False,
            ),
            LogLosses(),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=config.output,
    )  # fmt: skip


def _check_logs(config: SoundTrainConfig) -> None:
    from importlib.util import find_spec

    if config.log.wandb is not None and find_spec("wandb") is None:
        raise ConfigError(
            "log.wandb is set, and wandb is not installed",
            remedy="pip install wandb, or leave the key out",
        )


def _claim(config: SoundTrainConfig) -> None:
    """Refuse a folder of training with another config, else note this one's."""
    path = config.output / CONFIG_FILE
    ours = json.loads(config.model_dump_json())
    if path.exists():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        differ = [k for k in ours if k not in MAY_CHANGE and ours[k] != theirs.get(k)]
        if differ:
            raise OutputMismatchError(
                f"{config.output} holds training with another {', '.join(differ)}",
                remedy="choose another output folder, or delete it",
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_json(path, ours)


def _write_json(path: Path, content: object) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _features(
    config: SoundTrainConfig, splits: list[SoundDataset], encoder: TextEncoder, identity: str
) -> TextFeatures:
    """Features of all captions that the losses need, computed where they are missing."""
    wanted, texts = wanted_for(config), []
    for rows in splits:
        columns = [rows.schema.captions[key] for key in wanted.captions]
        if wanted.audio_caption:
            columns.append("audio_caption")
        texts += [text for column in columns for text in rows.texts(column)]
    features = TextFeatures(config.output / "text_features" / identity)
    features.add(encoder, (text.strip() for text in texts if text and text.strip()))
    return features


def _text_encoder(config: SoundTrainConfig) -> tuple[TextEncoder, str]:
    """The frozen text encoder, and what tells its features from another's."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    text = config.model.text
    if isinstance(text, FlanT5Config):
        from s2s_map.models.text_encoder_files import find_text_encoder
        from s2s_map.models.text_t5 import WEIGHTS_FILE, FlanT5TextEncoder

        folder = find_text_encoder(text)
        if folder is None:
            raise ModelError(
                f"training reads captions with {text.source}, which is not on this machine",
                remedy="run: s2s-map models fetch sat2sound/sentinel_nometa, which brings it",
            )
        identity = file_sha256(folder / WEIGHTS_FILE)[:12]
        return FlanT5TextEncoder.load(text, folder, device), f"flan-t5-{identity}"
    from s2s_map.models.text_minilm import MiniLMTextEncoder

    name = "minilm-sentence" if text.sentence_token else "minilm"
    return MiniLMTextEncoder.load(text, device=device), name


def _finish(config: SoundTrainConfig, module: SoundModule) -> None:
    """Write the chosen checkpoint as a model, and what was skipped."""
    network: Sat2Sound = module.network
    best = config.output / CHECKPOINTS / BEST
    chosen, recall = "the last step", None
    if best.exists():
        content = read_checkpoint(best)
        weights = content["state_dict"]
        network.load_state_dict({key.removeprefix(PREFIX): v for key, v in weights.items()})
        chosen = f"step {content['global_step']}"
        recall = next(
            (
                float(state["best_model_score"])
                for state in content["callbacks"].values()
                if state.get("monitor") == RECALL and state.get("best_model_score") is not None
            ),
            None,
        )
    skipped = [{"key": row.key, "reason": row.reason} for row in module.skipped.values()]
    _write_json(config.output / SKIPPED_FILE, skipped)
    if skipped:
        log.warning("%d broken rows were skipped, see %s", len(skipped), SKIPPED_FILE)
    save_model(config.output, network.eval(), make_card(config, network, chosen, recall))


def make_card(
    config: SoundTrainConfig, network: Sat2Sound, chosen: str, recall: float | None
) -> ModelCard:
    """Write the card; its hash is filled in when the weights are saved."""
    data, steps = config.dataset, config.optimiser.steps
    scale = "logit_scale_it" if "it" in config.losses.terms else "logit_scale_fdt"
    value = float(getattr(network, scale).detach())
    tile_m = data.side_px * data.pixel_m
    summary = f"{steps} steps of {config.optimiser.batch} sounds; {chosen} was chosen"
    if recall is not None:
        summary += f" by R@10% {recall:.3f} on the split {data.validation}"
    return ModelCard.model_validate(
        {
            "name": config.name,
            "title": config.title,
            "config": config.network,
            "sensors": (IMAGERY[data.satellite].sensors,),
            "gsd_m": (data.pixel_m * min(data.zooms), data.pixel_m * max(data.zooms)),
            "patch_m": (tile_m * min(data.zooms), tile_m * max(data.zooms)),
            "softmax": SoftmaxCard(
                temperature=math.exp(-value),
                source=f"1/exp({scale}), the scale between image and caption after training",
            ),
            "training": TrainingCard(
                summary=summary,
                data=(f"{data.path}, split {data.train}, {data.satellite} imagery",),
                held_out=f"{data.path}, split {data.validation}: chose the checkpoint",
                date=datetime.now(UTC).date().isoformat(),
                seed=config.seed,
                versions={name: version(name) for name in VERSIONS},
            ),
            **config.card,
        }
    )
