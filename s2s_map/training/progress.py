"""What training tells while it goes on."""

from __future__ import annotations

import logging

import lightning

log = logging.getLogger(__name__)


class LogLosses(lightning.Callback):
    """Logs the losses now and then, as often as the trainer logs."""

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        pl_module: lightning.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Log a line if one is due."""
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            values = {k: round(float(v), 3) for k, v in trainer.callback_metrics.items()}
            log.info("step %d of %d: %s", trainer.global_step, trainer.max_steps, values)
