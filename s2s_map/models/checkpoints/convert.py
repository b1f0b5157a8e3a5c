"""From a published Lightning checkpoint to safetensors and a card."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from s2s_map.config.files import file_sha256
from s2s_map.config.hyper_parameters import HyperParameters, read_hyper_parameters
from s2s_map.config.model import HtsatConfig, ModelCard, ModelConfig, NoAudioConfig, OriginCard
from s2s_map.errors import CheckpointError
from s2s_map.models.audio.htsat import AudioBranch
from s2s_map.models.build import build_model
from s2s_map.models.checkpoints.lightning_file import LightningFile, read_lightning
from s2s_map.models.checkpoints.published import (
    BASELINE,
    IMAGERY,
    SATELLITE_OF,
    Imagery,
    published_card,
)
from s2s_map.models.checkpoints.reading import compare_keys, save_weights

AUDIO_PREFIX = "audio_encoder."
BASELINE_SCALE = "logit_scale_fdt"
CAPTION_SCALE = "logit_scale_it"

CONSTANTS = (".attn_mask", ".relative_position_index")
CONSTANT_MODULE = ".audio_feats_extractor."

_log = logging.getLogger(__name__)


def convert_checkpoint(
    source: Path,
    folder: Path,
    name: str,
    *,
    base: ModelConfig | None = None,
    origin: OriginCard | None = None,
) -> ModelCard:
    """Turn a Lightning checkpoint into a model folder, without running code from it.

    Args:
        source: The checkpoint.
        folder: Gets model.safetensors and card.json.
        name: Name to load the model by. Of a published one, the options in the file must agree
            with it.
        base: Sizes that the file's options do not name; None: the published ones.
        origin: Where the file comes from; None: this file.

    Returns:
        The card as written.

    Raises:
        CheckpointError: If the file is missing, damaged or unsafe, or not such a model.
    """
    found = read_lightning(source)
    options = read_hyper_parameters(found.options, str(source))
    base = base or ModelConfig()
    if name == BASELINE or not any(key.startswith(AUDIO_PREFIX) for key in found.weights):
        # The image-text baseline was published without audio.
        base = base.model_copy(update={"audio": NoAudioConfig()})
    imagery = _imagery(name, options, source)
    try:
        config = options.model_copy(update={"sat_type": imagery.kind}).model_config_of(base)
    except ValidationError as error:
        raise CheckpointError(
            f"the options in {source} do not fit together: {error.errors()[0]['msg']}"
        ) from None
    _check_metadata(name, config, source)
    weights = _fitting(found, config, source)
    scale = CAPTION_SCALE if CAPTION_SCALE in found.weights else BASELINE_SCALE
    origin = origin or OriginCard(file=source.name, sha256=file_sha256(source))
    card = published_card(name, config, imagery, (scale, float(weights[scale])), origin)
    return save_weights(folder, weights, card)


def _imagery(name: str, options: HyperParameters, source: Path) -> Imagery:
    kind = options.sat_type or SATELLITE_OF.get(name)
    if kind is None:
        raise CheckpointError(
            f"{source} does not say what imagery it was trained on (sat_type)",
            remedy="give the published name with --name, for instance sat2sound/sentinel_withmeta",
        )
    if kind != SATELLITE_OF.get(name, kind):
        raise CheckpointError(
            f"{source} was trained on {kind} imagery",
            expected=f"{SATELLITE_OF[name]}, as {name} was",
            remedy="use the file of that name, or give another --name",
        )
    return IMAGERY[kind]


def _check_metadata(name: str, config: ModelConfig, source: Path) -> None:
    for ending, wanted in (("_withmeta", True), ("_nometa", False)):
        if name in SATELLITE_OF and name.endswith(ending) and wanted != bool(config.metadata):
            raise CheckpointError(
                f"{source} was trained with the metadata {', '.join(config.metadata) or 'none'}",
                expected=f"those of {name}",
                remedy="use the file of that name, or give another --name",
            )


def _fitting(found: LightningFile, config: ModelConfig, source: Path) -> dict[str, Tensor]:
    """The weights of a network of this config, nothing missing and nothing left over."""
    with torch.device("meta"):
        expected = build_model(config).state_dict()
    weights = dict(found.weights)
    if isinstance(config.audio, NoAudioConfig):
        # Scales of losses that the baseline was not trained with; nothing computes with them.
        for key in expected:
            if key.startswith("logit_scale_"):
                weights.setdefault(key, torch.tensor(config.logit_scale))
    faults = compare_keys(expected, weights)
    if faults:
        raise CheckpointError(
            f"{source} does not fit the published network: {faults}",
            expected=f"the {len(expected)} weights of a Sat2Sound with the metadata "
            f"{', '.join(config.metadata) or 'none'}",
        )
    fitting = {key: weights[key].to(expected[key].dtype).contiguous() for key in expected}
    broken = [key for key, value in fitting.items() if not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(f"{source} holds numbers that are not finite in {broken[0]}")
    if isinstance(config.audio, HtsatConfig):
        _restore_constants(fitting, config.audio)
    return fitting


def _restore_constants(weights: dict[str, Tensor], config: HtsatConfig) -> None:
    """Put what follows from the architecture as this version computes it, in place."""
    built = AudioBranch(config).state_dict()
    for short, value in built.items():
        key = AUDIO_PREFIX + short
        if not (short.endswith(CONSTANTS) or CONSTANT_MODULE in key):
            continue
        if not torch.allclose(weights[key].double(), value.double(), rtol=1e-4, atol=1e-4):
            _log.warning("the constant %s of the checkpoint differs from its definition", key)
        weights[key] = value
