"""An image encoder: the mean colours of the parts of a patch, through one trained layer."""

from typing import Literal

from pydantic import Field
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from s2s_map.config.model import ImageEncoderConfig


class ColoursConfig(ImageEncoderConfig):
    """What a model card says of it, below config.image."""

    kind: Literal["colours"] = "colours"
    input_px: int = Field(default=28, ge=1, le=4096, description="Side of the input image, pixels.")
    dim: int = Field(default=16, ge=1, le=65_536, description="Numbers per token.")
    tokens_per_side: int = Field(default=14, ge=1, le=512, description="Tokens along one side.")


class ColoursEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dim = config.dim
        self.input_px = config.input_px
        self.tokens_per_side = config.tokens_per_side
        self.layer = nn.Linear(3, config.dim)

    def forward(self, pixels, resolution_m):
        """Normalised images (B, 3, input_px, input_px) to tokens (B, tokens_per_side ** 2, dim)."""
        means = adaptive_avg_pool2d(pixels, self.tokens_per_side)
        return self.layer(means.flatten(2).transpose(1, 2))


class Colours:
    """What the entry point names."""

    interface = 1
    schema = ColoursConfig

    def build(self, config):
        return ColoursEncoder(config)


COLOURS = Colours()
