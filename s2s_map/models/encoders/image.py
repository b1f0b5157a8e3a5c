"""The built-in image encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from s2s_map.config.model import MiniImageConfig, VitConfig
from s2s_map.plugins.registry import INTERFACE

if TYPE_CHECKING:
    from torch import nn


# Each is imported when it is asked for: their dependencies are heavy.
@dataclass(frozen=True)
class Vit:
    """The vision transformer as published."""

    schema: type[VitConfig] = VitConfig
    interface: int = INTERFACE

    def build(self, config: VitConfig) -> nn.Module:
        """Make it, untrained."""
        from s2s_map.models.image.vit import VitEncoder

        return VitEncoder(config)


@dataclass(frozen=True)
class Mini:
    """The small convolutional encoder of the embedded model."""

    schema: type[MiniImageConfig] = MiniImageConfig
    interface: int = INTERFACE

    def build(self, config: MiniImageConfig) -> nn.Module:
        """Make it, untrained."""
        from s2s_map.models.image.mini import MiniImageEncoder

        return MiniImageEncoder(config)


VIT, MINI = Vit(), Mini()
