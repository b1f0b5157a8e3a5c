"""The Lightning module that trains Sat2Sound as the paper does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from s2s_map.config.train_sounds import (
    AUDIO_TERMS,
    AUDIO_TEXT_TERMS,
    SoundTrainConfig,
)
from s2s_map.datasets.sample import SkippedRow
from s2s_map.errors import DataError
from s2s_map.models.metadata import drop_fields
from s2s_map.models.sat2sound import Sat2Sound, unit
from s2s_map.scoring.retrieval import retrieval
from s2s_map.training.batch_norm import WholeBatchNorm
from s2s_map.training.gathering import gather_rows
from s2s_map.training.losses import Embeddings, combine, join_embeddings, sat2sound_losses
from s2s_map.training.sound_batch import SoundBatch, StreamPlace
from s2s_map.training.starting import STREAM

BAD_BATCH = "bad_batch.pt"
SKIPPED = "s2s_map_skipped"
"""Where a checkpoint lists the broken rows met so far."""

RECALL = "val/recall_at_10_percent"
"""What checkpoints are chosen by: the mean of both directions."""


class SoundModule(lightning.LightningModule):
    """Trains a network on batches of sounds; the frozen text encoder stays outside.

    What is random in a step depends on seed, step and device alone, so that training that was
    stopped goes on as if it had not been.

    Args:
        network: What is trained.
        config: Losses, optimiser, dropping.

    Attributes:
        skipped: Broken rows met so far, by name.
    """

    def __init__(self, network: Sat2Sound, config: SoundTrainConfig) -> None:
        super().__init__()
        self.network = network
        self.skipped: dict[str, SkippedRow] = {}
        self._config = config
        self._terms = set(config.losses.terms)
        self._checked: list[tuple[Tensor, Tensor]] = []
        self._place: StreamPlace | None = None

    def training_step(self, batch: SoundBatch, batch_idx: int) -> Tensor:
        """Return the loss, the configured terms summed as published.

        Raises:
            DataError: If it is not a finite number; the batch is kept in the output folder.
        """
        seeds = np.random.SeedSequence([self._config.seed, 2, batch.number, self.global_rank])
        torch.manual_seed(int(seeds.generate_state(1)[0]))
        self.skipped |= {row.key: row for row in batch.skipped}
        self._place = batch.place
        losses = self.losses(batch)
        total = losses["total"]
        if not torch.isfinite(total):
            self._stop(batch, losses)
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()})
        return total

    def losses(self, batch: SoundBatch) -> dict[str, Tensor]:
        """The configured losses of a batch, over the pairs of all devices, and their sum."""
        embeddings = self.embed(batch)
        # Sums over a batch are not for half precision.
        with torch.autocast(embeddings.image.device.type, enabled=False):
            parts: dict[str, Any] = {
                name: None if part is None else self._of_all_devices(part.float())
                for name, part in vars(embeddings).items()
            }
            together = Embeddings(**parts)
            scales: dict[str, Tensor] = {
                term: getattr(self.network, f"logit_scale_{term}") for term in self._terms
            }
            losses = sat2sound_losses(
                together, scales, self._config.losses.pseudo_alpha, terms=self._terms
            )
            return losses | combine(losses, self._config.losses.fdt_weight)

    def embed(self, batch: SoundBatch) -> Embeddings:
        """Embed what the configured losses need of a batch.

        In training mode metadata are hidden, and no more than `optimiser.at_once` rows keep their
        activations: those of the others are computed again for their gradients, which are the
        same as if all had been kept.
        """
        known = self._known(batch)
        at_once = self._config.optimiser.at_once or len(batch)
        self._note_statistics(batch)
        if not self.training or at_once >= len(batch):
            return self._embed(batch.pixels, batch, known)
        parts = []
        for start in range(0, len(batch), at_once):
            rows = slice(start, start + at_once)
            part = batch.part(rows)
            # Pixels are distinguished: of them torch takes which device's random state to keep.
            parts.append(
                checkpoint(
                    self._embed,
                    part.pixels,
                    part,
                    None if known is None else known[rows],
                    use_reentrant=False,
                )
            )
        return join_embeddings(parts)

    def _known(self, batch: SoundBatch) -> Tensor | None:
        """Which metadata the network is given, (n, fields): in training not all that are known."""
        if batch.metadata is None:
            return None
        known: Tensor = self.network.sat_encoder.meta_fuser.known(batch.metadata, len(batch))
        return drop_fields(known, self._config.metadata_drop) if self.training else known

    def _note_statistics(self, batch: SoundBatch) -> None:
        if self.training and batch.mel is not None and self._terms & AUDIO_TERMS:
            norm = self.network.audio_encoder.model["audio_enc"].bn0
            if isinstance(norm, WholeBatchNorm):
                norm.note(batch.mel.transpose(1, 3))

    def _embed(self, pixels: Tensor, batch: SoundBatch, known: Tensor | None) -> Embeddings:
        network, terms = self.network, self._terms
        tokens = network.image_tokens(pixels, batch.resolution_m)
        if batch.metadata is not None:
            metadata = batch.metadata
            if self.training:
                # As published: hidden tokens are zeros at evaluation only.
                metadata = type(metadata)(metadata.values, metadata.valid, "ordinary")
            tokens = network.fuse(tokens, metadata, known)
        audio = audio_text = image_text = None
        if terms & AUDIO_TERMS and batch.mel is not None:
            audio = network.embed_audio(batch.mel)
        if terms & AUDIO_TEXT_TERMS and batch.audio_text is not None:
            audio_text = network.embed_text(batch.audio_text, batch.audio_mask)
        if "fdt" in terms and batch.image_text is not None:
            image_text = network.embed_text(batch.image_text, batch.image_mask)
        image = network.embed_tokens(tokens, level="patch")
        return Embeddings(image, audio, audio_text, image_text)

    def validation_step(self, batch: SoundBatch, batch_idx: int) -> None:
        """Embed images and what is to be found from them: audio, or else captions."""
        self.skipped |= {row.key: row for row in batch.skipped}
        if not len(batch):
            return
        found = self.embed(batch)
        other = found.audio if found.audio is not None else found.audio_text
        other = found.image_text if other is None else other
        if other is not None:
            self._checked.append((unit(found.image.float()).cpu(), unit(other.float()).cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log the published retrieval metrics in both directions."""
        if not self._checked:
            return
        images, others = (torch.cat(parts).numpy() for parts in zip(*self._checked, strict=True))
        self._checked = []
        # Rank 1 counts in a set so small that a tenth of it is no rank at all.
        k = max(0.1 * len(images), 1.5)
        tenth = [retrieval(images, others, k), retrieval(others, images, k)]
        self.log(RECALL, float(np.mean([found.recall for found in tenth])), prog_bar=True)
        for name, found, first in (
            ("from_image", tenth[0], retrieval(images, others, 1.5)),
            ("to_image", tenth[1], retrieval(others, images, 1.5)),
        ):
            self.log(f"val/{name}_recall_at_1", first.recall)
            self.log(f"val/{name}_median_rank", found.median_rank)

    def configure_optimizers(self) -> Any:
        """AdamW with cosine restarts, as published."""
        o = self._config.optimiser
        weights = [p for p in self.network.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            weights, lr=o.rate, weight_decay=o.weight_decay, betas=(0.9, 0.98)
        )
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
            optimizer, T_0=o.restart_every
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count the batch after which a checkpoint is written as done, and note the stream's place.

        Lightning writes checkpoints before it does so itself, and would train on it twice.
        """
        if self._place is not None:
            checkpoint[STREAM] = list(self._place)
        checkpoint[SKIPPED] = [[row.key, row.reason] for row in self.skipped.values()]
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            counts["completed"] = counts["processed"]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Know the broken rows that an earlier start has met."""
        for key, reason in checkpoint.get(SKIPPED, ()):
            self.skipped[key] = SkippedRow(key, reason)

    def on_train_end(self) -> None:
        """Know the broken rows that other devices have met."""
        if torch.distributed.is_initialized():
            found: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(found, self.skipped)
            for theirs in found:
                self.skipped |= theirs

    def _of_all_devices(self, rows: Tensor) -> Tensor:
        return gather_rows(rows) if self._config.devices > 1 else rows

    def _stop(self, batch: SoundBatch, losses: dict[str, Tensor]) -> None:
        path = Path(self._config.output) / BAD_BATCH
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"keys": list(batch.keys), **batch.to("cpu").tensors()}, path)
        values = {name: round(loss.item(), 4) for name, loss in losses.items()}
        raise DataError(
            f"training diverged at step {self.global_step}: {values}",
            remedy=f"the batch is kept in {path}: look at its rows, or lower optimiser.rate",
        )
