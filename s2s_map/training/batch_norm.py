"""Batch norm over a whole batch, however it is cut into devices and parts."""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WholeBatchNorm(nn.BatchNorm2d):
    """`BatchNorm2d` for network inputs, whose statistics are noted before the batch is cut.

    The statistics of a part of a batch are others, and would make the loss depend on the number
    of devices. As inputs need no gradient, noting them first changes nothing else. Weights and
    their names stay those of `BatchNorm2d`; without a noted batch it is that.
    """

    _noted: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> Self:
        """The same norm with the same weights and running statistics."""
        made = cls(norm.num_features, norm.eps, norm.momentum)
        made.load_state_dict(norm.state_dict())
        return made

    def note(self, inputs: Tensor) -> None:
        """Take mean and variance of this batch over all devices, each with as many rows.

        Args:
            inputs: What all parts together will be given (B, channels, ...).
        """
        rest = [dim for dim in range(inputs.ndim) if dim != 1]
        shape = [1, -1] + [1] * (inputs.ndim - 2)
        with torch.no_grad():
            values = inputs.float()
            mean = _of_all(values.mean(dim=rest))
            spread = _of_all((values - mean.reshape(shape)).square().mean(dim=rest))
            self._noted = mean, spread
            count = values.numel() // values.shape[1] * _world()
            share = self.momentum if self.momentum is not None else 0.1
            if self.running_mean is not None and self.running_var is not None:
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(spread * count / max(1, count - 1), share)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise (B, channels, height, width): by the noted batch while in training mode."""
        if not self.training or self._noted is None:
            return super().forward(input)
        mean, spread = self._noted
        return F.batch_norm(input, mean, spread, self.weight, self.bias, False, 0.0, self.eps)


def _world() -> int:
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def _of_all(part: Tensor) -> Tensor:
    """The mean over devices of what each has."""
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(part)
        part /= _world()
    return part
