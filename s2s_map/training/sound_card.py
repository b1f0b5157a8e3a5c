"""What comes out of training on sounds: the chosen weights, their card, and what was skipped."""

from __future__ import annotations

import logging
import math
from importlib.metadata import version

from s2s_map.atomic import write_json
from s2s_map.config.making_time import making_time
from s2s_map.config.model import ModelCard, SoftmaxCard, TrainingCard
from s2s_map.config.train_sounds import SoundTrainConfig
from s2s_map.models.checkpoints.published import IMAGERY
from s2s_map.models.checkpoints.reading import save_model
from s2s_map.models.sat2sound import Sat2Sound
from s2s_map.training.sound_module import RECALL, SoundModule
from s2s_map.training.starting import PREFIX, read_checkpoint
from s2s_map.training.trainer import BEST, CHECKPOINTS

log = logging.getLogger(__name__)

VERSIONS = ("torch", "lightning", "timm", "numpy", "datasets")
SKIPPED_FILE = "skipped.json"


def finish(config: SoundTrainConfig, module: SoundModule) -> None:
    """Write the chosen checkpoint as a model, and what was skipped."""
    network: Sat2Sound = module.network
    best = config.output / CHECKPOINTS / BEST
    chosen, recall = "the last step", None
    if best.exists():
        content = read_checkpoint(best)
        weights = content["state_dict"]
        network.load_state_dict({key.removeprefix(PREFIX): v for key, v in weights.items()})
        chosen = f"step {content['global_step']}"
        recall = next(
            (
                float(state["best_model_score"])
                for state in content["callbacks"].values()
                if state.get("monitor") == RECALL and state.get("best_model_score") is not None
            ),
            None,
        )
    skipped = [{"key": row.key, "reason": row.reason} for row in module.skipped.values()]
    write_json(config.output / SKIPPED_FILE, skipped)
    if skipped:
        log.warning("%d broken rows were skipped, see %s", len(skipped), SKIPPED_FILE)
    save_model(config.output, network.eval(), make_card(config, network, chosen, recall))


def make_card(
    config: SoundTrainConfig, network: Sat2Sound, chosen: str, recall: float | None
) -> ModelCard:
    """Write the card; its hash is filled in when the weights are saved."""
    data, steps = config.dataset, config.optimiser.steps
    scale = "logit_scale_it" if "it" in config.losses.terms else "logit_scale_fdt"
    value = float(getattr(network, scale).detach())
    tile_m = data.side_px * data.pixel_m
    summary = f"{steps} steps of {config.optimiser.batch} sounds; {chosen} was chosen"
    if recall is not None:
        summary += f" by R@10% {recall:.3f} on the split {data.validation}"
    return ModelCard.model_validate(
        {
            "name": config.name,
            "title": config.title,
            "config": config.network,
            "sensors": (IMAGERY[data.satellite].sensors,),
            "gsd_m": (data.pixel_m * min(data.zooms), data.pixel_m * max(data.zooms)),
            "patch_m": (tile_m * min(data.zooms), tile_m * max(data.zooms)),
            "softmax": SoftmaxCard(
                temperature=math.exp(-value),
                source=f"1/exp({scale}), the scale between image and caption after training",
            ),
            "training": TrainingCard(
                summary=summary,
                data=(f"{data.path}, split {data.train}, {data.satellite} imagery",),
                held_out=f"{data.path}, split {data.validation}: chose the checkpoint",
                date=making_time().date().isoformat(),
                seed=config.seed,
                versions={name: version(name) for name in VERSIONS},
            ),
            **config.card,
        }
    )
