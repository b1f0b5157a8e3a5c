"""How the embedded model is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from s2s_map.config.checked import Checked, Metres
from s2s_map.config.model import ModelConfig

type Row = Annotated[int, Field(ge=0, le=10**9)]
type Weight = Annotated[float, Field(ge=0, le=10**6)]
type LossName = Literal["fdt", "token", "geometry"]


class TrainScene(Checked):
    """One prepared scene to cut training patches from."""

    file: str = Field(description="File in the data folder, as the preparation script wrote it.")
    weight: float = Field(
        gt=0, le=10**6, description="How often it is drawn, relative to the others."
    )
    pixel_m: tuple[Metres, Metres] = Field(
        description="Smallest and largest size of an input pixel on the ground, metres."
    )
    held_out_rows: tuple[tuple[Row, Row], ...] = Field(
        (), description="Rows (first, past the last) of the scene kept for validation."
    )


class AugmentConfig(Checked):
    """Random changes of colour and validity; the larger the number, the stronger."""

    brightness: float = Field(0.2, ge=0, lt=1, description="Relative change, at most.")
    contrast: float = Field(0.2, ge=0, lt=1, description="Relative change, at most.")
    gamma: float = Field(0.2, ge=0, lt=1, description="Relative change of the exponent, at most.")
    channel: float = Field(0.06, ge=0, lt=1, description="Relative change of one colour, at most.")
    haze: float = Field(0.25, ge=0, lt=1, description="Share of white mixed in, at most.")
    haze_rate: float = Field(0.3, ge=0, le=1, description="Share of patches with haze.")
    noise: float = Field(0.01, ge=0, lt=1, description="Deviation of noise in 0..1, at most.")
    hole_rate: float = Field(
        0.15, ge=0, le=1, description="Share of patches with a part filled by the mean colour."
    )
    water_tint_rate: float = Field(
        0.25, ge=0, le=1, description="Share of patches whose water takes another colour."
    )


class LossConfig(Checked):
    """Weights of the losses; a loss that is not named is not computed."""

    weights: dict[LossName, Weight] = Field(
        {"fdt": 1.0, "token": 1.0, "geometry": 1.0},
        description="Weight by loss: fdt as published; token and geometry our own.",
    )
    pseudo_alpha: float = Field(0.1, ge=0, le=10**6, description="Weight of pseudo-positives.")
    tokens: int = Field(1024, ge=2, le=10**7, description="Image tokens a step in the token loss.")
    texts: int = Field(
        256, ge=2, le=10**7, description="Captions a step in the token and geometry losses."
    )
    feature_noise: float = Field(
        0.0, ge=0, le=1000, description="Deviation of noise on text features, relative to theirs."
    )


class OptimiserConfig(Checked):
    """AdamW with a linear warm-up and a cosine to zero."""

    steps: int = Field(1500, ge=1, le=10**9, description="Number of steps.")
    batch: int = Field(48, ge=2, le=10**6, description="Patches a step.")
    rate: float = Field(1e-3, gt=0, le=1000, description="Highest learning rate.")
    backbone_rate: float = Field(
        1e-4, ge=0, le=1000, description="Highest rate of pretrained layers."
    )
    weight_decay: float = Field(0.05, ge=0, le=1000, description="Weight decay.")
    warmup: int = Field(100, ge=0, le=10**9, description="Steps of warm-up.")
    clip: float = Field(0.5, gt=0, le=10**9, description="Largest norm of the gradient.")


class TrainConfig(Checked):
    """Everything that decides what comes out of training."""

    several_lines = frozenset({"card"})

    name: str = Field(min_length=1, max_length=200, description="Name of the model.")
    title: str = Field(description="One line for people.")
    data: Path = Field(description="Folder of prepared data.")
    output: Path = Field(description="Folder for model.safetensors and card.json.")
    captions: str = Field("captions.json", description="Captions file in the data folder.")
    stem: str | None = Field(
        None, description="State dict of EfficientNet-Lite0 in the data folder to start from."
    )
    model: ModelConfig = Field(description="Sizes of the network.")
    scenes: tuple[TrainScene, ...] = Field(min_length=1, description="Where patches come from.")
    stretch: str = Field("as prepared", description="How the scenes became 8 bit, for the card.")
    augment: AugmentConfig = Field(
        default_factory=AugmentConfig, description="Random changes of the patches."
    )
    losses: LossConfig = Field(default_factory=LossConfig, description="What is minimised.")
    optimiser: OptimiserConfig = Field(
        default_factory=OptimiserConfig, description="How it is minimised."
    )
    hold_out: bool = Field(
        True, description="Keep the held-out rows out of training; false for the final weights."
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="Random seed.")
    threads: int = Field(2, ge=1, le=4096, description="Processor threads.")
    card: dict[str, object] = Field(
        default_factory=dict, description="Further fields of the model card."
    )

    @model_validator(mode="after")
    def _has_loss(self) -> Self:
        if not any(self.losses.weights.values()):
            raise ValueError("losses.weights turns every loss off")
        return self
