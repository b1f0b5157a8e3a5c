"""Published models, fetched and made ready to load."""

from __future__ import annotations

from s2s_map.config.model import FlanT5Config, ModelCard, ModelConfig
from s2s_map.errors import ModelError
from s2s_map.models.checkpoints.hub import DEFAULT_REVISION, Source, get_file
from s2s_map.models.checkpoints.places import models_folder
from s2s_map.models.checkpoints.published import PUBLISHED, REPOSITORY
from s2s_map.models.text.encoder_files import fetch_text_encoder


def fetch_model(
    name: str,
    source: Source | None = None,
    *,
    revision: str = DEFAULT_REVISION,
    base: ModelConfig | None = None,
) -> ModelCard:
    """Fetch a published model and its text encoder, and make them ready to load.

    Args:
        name: Name of a published model.
        source: Where from; None: the hub.
        revision: Branch, tag or commit of the model's repository. The commit it stood for is
            kept in the card.
        base: Sizes that the checkpoint's options do not name; None: the published ones.

    Returns:
        The card of the model, which lies in `models_folder() / name`.

    Raises:
        ModelError: For an unknown name, or files that cannot be reached.
        CheckpointError: For files that are damaged or do not fit.
    """
    from s2s_map.models.checkpoints.convert import convert_checkpoint

    if name not in PUBLISHED:
        raise ModelError(f"no published model {name!r}", expected=f"one of {', '.join(PUBLISHED)}")
    source = source or Source()
    text = (base or ModelConfig()).text
    checkpoint = get_file(source, REPOSITORY, f"{name}.ckpt", revision, name)
    # Before the conversion: what is missing should be said before minutes of work.
    if isinstance(text, FlanT5Config):
        fetch_text_encoder(text, source, name)
    return convert_checkpoint(
        checkpoint.path, models_folder() / name, name, base=base, origin=checkpoint.origin
    )
