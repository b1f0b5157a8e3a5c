"""How a model is trained on sounds with imagery and captions, as the paper does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from s2s_map.config.checked import Checked
from s2s_map.config.hyper_parameters import SOURCE_PX, SatelliteKind
from s2s_map.config.model import ModelConfig

type Zoom = Annotated[int, Field(ge=1, le=1000)]
type Term = Literal["ia", "it", "at", "i_at", "fdt"]

AUDIO_TERMS: frozenset[Term] = frozenset({"ia", "at", "i_at"})
AUDIO_TEXT_TERMS: frozenset[Term] = frozenset({"it", "at", "i_at"})
GSD_M: dict[SatelliteKind, float] = {"sentinel": 10.0, "bingmap": 0.6, "googleEarth": 0.2}


class DatasetConfig(Checked):
    """Which sounds."""

    path: str = Field(
        description="Repository on the Hugging Face hub, such as MVRL/GeoSound, or a folder of "
        "Parquet files in its schema."
    )
    train: str = Field("train", description="Split to learn from.")
    validation: str = Field("val", description="Split that chooses the checkpoint.")
    satellite: SatelliteKind = Field(description="Which imagery of it: its column and its scale.")
    zooms: tuple[Zoom, ...] = Field(
        (1, 3, 5), min_length=1, description="Zoom levels; each patch is drawn at one of them."
    )
    gsd_m: float | None = Field(
        None,
        ge=0.001,
        le=100_000,
        description="Pixel of the imagery, metres; left out: as published.",
    )
    tile_px: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="Imagery pixels of a patch at zoom 1; left out: as published.",
    )
    workers: int = Field(
        4,
        ge=0,
        le=1024,
        description="Processes that decode rows; with streaming, threads of one process.",
    )
    streaming: bool = Field(
        False, description="Read rows one after the other from where they lie; keep no copy."
    )
    buffer: int = Field(
        1024,
        ge=2,
        le=10**7,
        description="With streaming: rows in memory that are shuffled together.",
    )

    @property
    def pixel_m(self) -> float:
        """Pixel of the imagery, metres."""
        return GSD_M[self.satellite] if self.gsd_m is None else self.gsd_m

    @property
    def side_px(self) -> int:
        """Imagery pixels of a patch at zoom 1."""
        return SOURCE_PX[self.satellite] if self.tile_px is None else self.tile_px


class JitterConfig(Checked):
    """Random changes of colour, as published; 0 leaves a property alone."""

    brightness: float = Field(0.3, ge=0, le=1, description="Relative change, at most.")
    contrast: float = Field(0.3, ge=0, le=1, description="Relative change, at most.")
    saturation: float = Field(0.3, ge=0, le=1, description="Relative change, at most.")
    hue: float = Field(0.2, ge=0, le=0.5, description="Share of the colour circle, at most.")


class AudioNoiseConfig(Checked):
    """What the audio encoder is trained under, as published."""

    time_stripes: int = Field(
        2, ge=0, le=1000, description="Stripes of time hidden in a spectrogram."
    )
    time_width: int = Field(64, ge=1, le=65_536, description="Their largest width, spectra.")
    mel_stripes: int = Field(
        2, ge=0, le=1000, description="Stripes of frequency hidden in a spectrogram."
    )
    mel_width: int = Field(8, ge=1, le=4096, description="Their largest width, mel bands.")
    drop_path: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Chance of leaving out a branch of the last block; less before.",
    )


class SoundLossConfig(Checked):
    """Which losses; the default is all of the paper's."""

    terms: tuple[Term, ...] = Field(
        ("ia", "it", "at", "i_at", "fdt"),
        min_length=1,
        description="ia image and audio, it image and audio caption, at audio and its caption "
        "(their mean counts), i_at image against both, fdt image and image caption.",
    )
    pseudo_alpha: float = Field(0.1, ge=0, le=10**6, description="Weight of pseudo-positives.")
    fdt_weight: float = Field(1.0, gt=0, le=10**6, description="Weight of fdt.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.terms)) != len(self.terms):
            raise ValueError("a loss is named twice")
        return self


class SoundOptimiserConfig(Checked):
    """AdamW with cosine restarts, as published."""

    steps: int = Field(ge=1, le=10**9, description="Steps of the optimiser.")
    batch: int = Field(
        128, ge=2, le=10**6, description="Sounds in a batch, over all devices together."
    )
    accumulate: int = Field(
        1,
        ge=1,
        le=10**6,
        description="Batches a step: their gradients are averaged; each has its own pairs.",
    )
    at_once: int | None = Field(
        None,
        ge=1,
        le=10**6,
        description="Sounds of a device whose activations are in memory at a time; the others are "
        "computed twice, and loss and gradients are those of the whole batch. Left out: all.",
    )
    rate: float = Field(5e-5, gt=0, le=1000, description="Highest learning rate.")
    weight_decay: float = Field(0.2, ge=0, le=1000, description="Weight decay.")
    restart_every: int = Field(
        5000, ge=1, le=10**9, description="Steps from one restart to the next."
    )
    clip: float = Field(0.5, gt=0, le=10**9, description="Largest norm of the gradient.")


class StartConfig(Checked):
    """Weights to start from; what is left out starts at random."""

    model: str | None = Field(None, description="A model by name or folder, of the same sizes.")
    image: Path | None = Field(
        None, description="File with weights of the image encoder, such as pretrain-vit-base-e199."
    )
    audio: Path | None = Field(
        None, description="File with weights of the audio encoder, such as mga-clap."
    )


class LogConfig(Checked):
    """What is written beside the model."""

    every: int = Field(50, ge=1, le=10**9, description="Steps between two lines of the logs.")
    tensorboard: bool = Field(True, description="Write TensorBoard's files.")
    wandb: str | None = Field(
        None, description="Project on Weights & Biases; needs wandb and its key in the environment."
    )


class SoundTrainConfig(Checked):
    """Everything that decides what comes out of training."""

    several_lines = frozenset({"card"})

    name: str = Field(min_length=1, max_length=200, description="Name of the model.")
    title: str = Field(description="One line for people.")
    output: Path = Field(description="Folder for the model, its checkpoints and logs.")
    dataset: DatasetConfig = Field(description="Which sounds and imagery.")
    model: ModelConfig = Field(
        default_factory=ModelConfig, description="Sizes of the network; default: as published."
    )
    start: StartConfig = Field(default_factory=StartConfig, description="Where weights begin.")
    losses: SoundLossConfig = Field(
        default_factory=SoundLossConfig, description="What is minimised."
    )
    optimiser: SoundOptimiserConfig = Field(description="How it is minimised.")
    metadata_drop: float = Field(
        0.5, ge=0, le=1, description="Share of a batch in which each kind of metadata is hidden."
    )
    jitter: JitterConfig = Field(default_factory=JitterConfig, description="Changes of colour.")
    audio_noise: AudioNoiseConfig = Field(
        default_factory=AudioNoiseConfig, description="Regularisation of the audio encoder."
    )
    check_every: int = Field(
        1000,
        ge=1,
        le=10**9,
        description="Steps between two validations, and between two checkpoints.",
    )
    precision: Literal["fp32", "bf16"] = Field("bf16", description="What is multiplied in.")
    devices: int = Field(1, ge=1, le=4096, description="GPUs, or processes on a machine without.")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="Random seed.")
    log: LogConfig = Field(default_factory=LogConfig, description="Logs.")
    card: dict[str, object] = Field(
        default_factory=dict, description="Further fields of the model card."
    )

    @property
    def network(self) -> ModelConfig:
        """Sizes of the network, for how many imagery pixels a patch has."""
        return self.model.model_copy(update={"reference_px": float(self.dataset.side_px)})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        terms = set(self.losses.terms)
        if terms & AUDIO_TERMS and self.model.audio.token_dim is None:
            raise ValueError(
                f"the losses {sorted(terms & AUDIO_TERMS)} need an audio encoder: "
                "model.audio.kind htsat"
            )
        if self.optimiser.at_once is not None and self.model.image.normalises_batches:
            raise ValueError(
                "optimiser.at_once is given, and an image encoder of the kind "
                f"{self.model.image.kind} normalises over all images in memory: leave it out, or "
                "take vit"
            )
        if self.optimiser.batch % self.devices:
            raise ValueError(
                f"optimiser.batch {self.optimiser.batch} does not divide by devices {self.devices}"
            )
        return self
