"""The Lightning module that trains a Sat2Sound model on land cover."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from s2s_map.errors import DataError
from s2s_map.models.sat2sound import Sat2Sound
from s2s_map.training.losses import Embeddings, logits, sat2sound_losses
from s2s_mini.batches import Batch
from s2s_mini.config import LossConfig, OptimiserConfig
from s2s_mini.losses import cover_match, keep_geometry

KNOWN_SHARE = 0.5
"""A token takes part in the token loss when at least this much of its land cover is known."""


class SoundscapeModule(lightning.LightningModule):
    """Trains the network; frozen encoders stay outside, their features come with the batch.

    Args:
        network: What is trained.
        losses: Which losses, and their weights.
        optimiser: How they are minimised.
        pretrained: Parts that learn at the backbone's rate and keep their batch statistics.
    """

    def __init__(
        self,
        network: Sat2Sound,
        losses: LossConfig,
        optimiser: OptimiserConfig,
        pretrained: tuple[nn.Module, ...] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self._losses = losses
        self._optimiser = optimiser
        self._pretrained = pretrained
        if not optimiser.backbone_rate:
            for part in pretrained:
                part.requires_grad_(False)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Keep pretrained batch statistics: a batch here is not a fair sample of the world."""
        for part in self._pretrained:
            part.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the weighted sum of the configured losses.

        Raises:
            DataError: If a loss is not a finite number.
        """
        losses = self.losses(batch)
        total = torch.stack([w * losses[n] for n, w in self._losses.weights.items() if w]).sum()
        if not torch.isfinite(total):
            values = {name: round(loss.item(), 4) for name, loss in losses.items()}
            raise DataError(
                f"training diverged at step {self.global_step}: {values}",
                remedy="lower optimiser.rate, or look for broken training data",
            )
        self.log_dict({name: loss.detach() for name, loss in losses.items()}, prog_bar=True)
        return total

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Every configured loss."""
        wanted = {name for name, weight in self._losses.weights.items() if weight}
        network, codebook = self.network, self.network.fdt
        scale: Tensor = network.logit_scale_fdt  # type: ignore[assignment]
        tokens = network.fuse(network.image_tokens(batch.pixels, batch.resolution_m))
        queries = codebook.query(tokens, "image")
        losses: dict[str, Tensor] = {}
        if "fdt" in wanted:
            pairs = Embeddings(codebook.pooled(queries), image_text=self._text(batch.image_text))
            losses |= sat2sound_losses(pairs, {"fdt": scale}, self._losses.pseudo_alpha)
        if {"token", "geometry"} & wanted:
            texts = self._text(batch.texts)
            losses["geometry"] = keep_geometry(texts, batch.texts[:, 0])
            count = batch.token_cover.shape[1]
            chosen = self._tokens(batch.token_cover)
            vectors = codebook.per_token(queries[:, :count].flatten(0, 1)[chosen][None])[0]
            cover = batch.token_cover.flatten(0, 1)[chosen]
            losses["token"] = cover_match(logits(vectors, texts, scale), cover, batch.text_cover)
        return {name: loss for name, loss in losses.items() if name in wanted}

    def _text(self, features: Tensor) -> Tensor:
        if self._losses.feature_noise and self.training:
            spread = features.std() * self._losses.feature_noise
            features = features + spread * torch.randn_like(features)
        return self.network.embed_text(features)

    def _tokens(self, cover: Tensor) -> Tensor:
        """Choose tokens of known cover (n, tokens, k) so that every cover is met equally often."""
        flat = cover.flatten(0, 1)
        known = flat.sum(dim=1) >= KNOWN_SHARE
        chance = (flat / flat.sum(dim=0).clamp(min=1.0)).sum(dim=1) * known
        count = min(self._losses.tokens, int((chance > 0).sum()))
        if not count:
            raise DataError("a training batch without any known land cover")
        return torch.multinomial(chance, count)

    def configure_optimizers(self) -> Any:
        """AdamW, two rates, linear warm-up and cosine."""
        o = self._optimiser
        slow = [p for part in self._pretrained for p in part.parameters() if p.requires_grad]
        ids = {id(p) for p in slow}
        fast = [p for p in self.network.parameters() if p.requires_grad and id(p) not in ids]
        groups = [{"params": fast, "lr": o.rate}]
        if slow:
            groups.append({"params": slow, "lr": o.backbone_rate})
        optimizer = torch.optim.AdamW(groups, weight_decay=o.weight_decay, betas=(0.9, 0.98))

        def factor(step: int) -> float:
            if step < o.warmup:
                return (step + 1) / o.warmup
            done = (step - o.warmup) / max(1, o.steps - o.warmup)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
