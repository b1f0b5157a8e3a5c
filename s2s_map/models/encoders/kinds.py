"""What a kind of encoder looks like, whether it is built in or of a package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from s2s_map.config.model import (
    AudioEncoderConfig,
    ImageEncoderConfig,
    ModelCard,
    ModelConfig,
    TextEncoderConfig,
)
from s2s_map.plugins.kinds import AUDIO_ENCODERS, IMAGE_ENCODERS, TEXT_ENCODERS
from s2s_map.plugins.registry import brought_by

if TYPE_CHECKING:
    from torch import nn

    from s2s_map.models.loaded import LoadedModel
    from s2s_map.models.protocols import AudioEncoder, TextEncoder


class ImageKind(Protocol):
    """A kind of image encoder, as `s2s_map.plugins.kinds.IMAGE_ENCODERS` holds it.

    Attributes:
        interface: Version of this protocol that it was written for, 1.
        schema: Schema of ``config.image`` of a card, a subclass of `ImageEncoderConfig`.
    """

    interface: int
    schema: type[ImageEncoderConfig]

    def build(self, config: Any) -> nn.Module:
        """Make a module that follows `s2s_map.models.protocols.ImageEncoder`, untrained.

        Its weights are part of the model's file, below ``satmae_backbone.backbone.``.
        """


class TextKind(Protocol):
    """A kind of frozen text encoder, as `s2s_map.plugins.kinds.TEXT_ENCODERS` holds it.

    Attributes:
        interface: Version of this protocol that it was written for, 1.
        schema: Schema of ``config.text`` of a card, a subclass of `TextEncoderConfig`.
    """

    interface: int
    schema: type[TextEncoderConfig]

    def load(self, card: ModelCard, device: str) -> TextEncoder:
        """Return the encoder of a model, ready to encode.

        Raises:
            ModelError: If its files are not on this machine.
        """

    def sha256(self, card: ModelCard) -> str:
        """Return a hash of its files, hexadecimal: kept vectors of texts are told apart by it."""


class ChecksTexts(Protocol):
    """A kind of text encoder that can tell without its weights whether a text is too long."""

    def check(self, card: ModelCard, texts: Sequence[str]) -> None:
        """Check texts.

        Raises:
            QueryError: For an empty or too long text.
        """


class AudioKind(Protocol):
    """A kind of audio encoder, as `s2s_map.plugins.kinds.AUDIO_ENCODERS` holds it.

    Attributes:
        interface: Version of this protocol that it was written for, 1.
        schema: Schema of ``config.audio`` of a card, a subclass of `AudioEncoderConfig`.
    """

    interface: int
    schema: type[AudioEncoderConfig]

    def load(self, model: LoadedModel, folder: Path) -> AudioEncoder:
        """Return the encoder of a loaded model, whose files lie in a folder.

        Raises:
            ModelError: If the model cannot be asked with recordings.
        """


def encoder_packages(config: ModelConfig) -> dict[str, Any]:
    """Return which packages bring the encoders of a model, for its identity; none if built in."""
    parts = {
        "image": brought_by(IMAGE_ENCODERS, config.image.kind),
        "text": brought_by(TEXT_ENCODERS, config.text.kind),
        "audio": brought_by(AUDIO_ENCODERS, config.audio.kind),
    }
    found = {part: brought["plugin"] for part, brought in parts.items() if brought}
    return {"plugins": found} if found else {}
