"""Lightning's trainer as training on sounds needs it."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.errors import ConfigError
from s2s_map.training.progress import LogLosses
from s2s_map.training.sound_module import RECALL

CHECKPOINTS = "checkpoints"
LAST, BEST = "last.ckpt", "best.ckpt"


def trainer_of(config: SoundTrainConfig, done: int) -> lightning.Trainer:
    """The trainer of a config: devices, precision, logs and checkpoints.

    Args:
        config: Everything.
        done: Batches that earlier starts have done.
    """
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
            # After the validation and the one above: who goes on from it knows the best so far.
            ModelCheckpoint(
                folder, LAST.removesuffix(".ckpt"), every_n_epochs=1,
                save_on_train_epoch_end=False, enable_version_counter=False,
            ),
            LogLosses(),
        ],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=config.output,
    )  # fmt: skip


def check_logs(config: SoundTrainConfig) -> None:
    """Refuse logs that cannot be written here.

    Raises:
        ConfigError: If a package is missing.
    """
    from importlib.util import find_spec

    if config.log.wandb is not None and find_spec("wandb") is None:
        raise ConfigError(
            "log.wandb is set, and wandb is not installed",
            remedy="pip install wandb, or leave the key out",
        )
