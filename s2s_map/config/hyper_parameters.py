"""The options a published checkpoint was trained with, as far as they decide its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from s2s_map.config.checked import Checked
from s2s_map.config.model import METADATA_ORDER, MetadataField, ModelConfig
from s2s_map.config.text import shown
from s2s_map.errors import CheckpointError

type SatelliteKind = Literal["sentinel", "bingmap", "googleEarth"]

SOURCE_PX: dict[str, int] = {"sentinel": 256, "bingmap": 300, "googleEarth": 256}
"""Source pixels along a training patch at zoom level 1."""


class HyperParameters(Checked):
    """Options of a training run.

    Options that say nothing of the architecture (paths, learning rate) are ignored, as are names
    that later versions no longer knew. An option that would change the architecture is refused.
    """

    model_config = ConfigDict(extra="ignore")

    fc_dim: int = Field(
        default=1024, ge=4, le=65_536, description="Numbers per projected image token."
    )
    codebook_dim: int = Field(default=1024, ge=1, le=65_536, description="Numbers per code.")
    codebook_size: int = Field(default=16000, ge=1, le=1_000_000, description="Number of codes.")
    metadata_type: str = Field(
        default="none", description="Metadata fields joined by underscores, or 'none'."
    )
    sat_type: SatelliteKind | None = Field(default=None, description="Imagery of the training.")
    meta_droprate: float = Field(
        default=0.5, ge=0, le=1, description="Share of fields hidden in training; never here."
    )
    pseudo_match_alpha: float = Field(
        default=0.1, ge=0, le=10**6, description="Of the training's loss."
    )
    fdt_weight: float = Field(default=1.0, ge=0, le=10**6, description="Of the training's loss.")
    use_combined_projectors: bool = Field(
        default=False, description="Of an older version: further projectors."
    )
    shared_codebook: bool = Field(
        default=True, description="Of an older version: one codebook for all modalities."
    )
    text_qmap: bool = Field(default=True, description="Of an older version: a text query map.")
    metadata_fusion: str = Field(
        default="early", description="Of an older version: where metadata are fused."
    )

    @field_validator("metadata_type")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        unknown = [part for part in value.split("_") if part not in (*METADATA_ORDER, "none")]
        if unknown:
            raise ValueError(f"{value!r} names {unknown[0]!r}, not one of {METADATA_ORDER}")
        return value

    @field_validator("use_combined_projectors")
    @classmethod
    def _no_further_projectors(cls, value: bool) -> bool:
        if value:
            raise ValueError("further projectors are another architecture")
        return value

    @field_validator("shared_codebook", "text_qmap")
    @classmethod
    def _on(cls, value: bool) -> bool:
        if not value:
            raise ValueError("switched off it is another architecture")
        return value

    @field_validator("metadata_fusion")
    @classmethod
    def _early(cls, value: str) -> str:
        if "late" in value.lower():
            raise ValueError("late fusion is another architecture")
        return value

    @property
    def metadata(self) -> tuple[MetadataField, ...]:
        """Metadata fields in their fixed order."""
        named = self.metadata_type.split("_")
        return tuple(field for field in METADATA_ORDER if field in named)

    def model_config_of(self, base: ModelConfig) -> ModelConfig:
        """The model these options give.

        Args:
            base: Sizes that no option names.

        Raises:
            ValidationError: If the sizes do not fit together.
        """
        sizes = base.model_dump()
        sizes |= {
            "embed_dim": self.fc_dim,
            "projector_dim": self.fc_dim,
            "metadata": self.metadata,
            "codebook": {
                **sizes["codebook"],
                "size": self.codebook_size,
                "dim": self.codebook_dim,
            },
        }
        if self.sat_type is not None:
            sizes["reference_px"] = float(SOURCE_PX[self.sat_type])
        return ModelConfig.model_validate(sizes)


def read_hyper_parameters(found: Mapping[str, Any], where: str) -> HyperParameters:
    """Validate the options found in a checkpoint.

    Args:
        found: Options by name, from a file that is not trusted.
        where: The file, for messages.

    Raises:
        CheckpointError: For a value that does not validate, or changes the architecture.
    """
    try:
        return HyperParameters.model_validate(dict(found))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "hyper_parameters"
        raise CheckpointError(
            f"{where} was trained with {name}={shown(first['input'])}: {first['msg']}",
            expected="the options of a published Sat2Sound model",
        ) from None
