"""The built-in audio encoders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from s2s_map.config.model import EventsAudioConfig, HtsatConfig, NoAudioConfig
from s2s_map.errors import ModelError
from s2s_map.plugins.registry import INTERFACE

if TYPE_CHECKING:
    from torch import nn

    from s2s_map.models.loaded import LoadedModel
    from s2s_map.models.protocols import AudioEncoder


@dataclass(frozen=True)
class NoAudio:
    """A model that cannot be asked with recordings."""

    schema: type[NoAudioConfig] = NoAudioConfig
    interface: int = INTERFACE

    def load(self, model: LoadedModel, folder: Path) -> AudioEncoder:
        """Refuse.

        Raises:
            ModelError: Always.
        """
        raise ModelError(
            f"{model.name} cannot be asked with a recording (audio encoder: none)",
            remedy="ask with a text, or use a model that hears",
        )


@dataclass(frozen=True)
class Events:
    """The mix of sound events of a recording."""

    schema: type[EventsAudioConfig] = EventsAudioConfig
    interface: int = INTERFACE

    def load(self, model: LoadedModel, folder: Path) -> AudioEncoder:
        """Load the tagger."""
        from s2s_map.models.events.encoder import EventMixEncoder

        return EventMixEncoder.from_folder(folder, model.embed_text)


@dataclass(frozen=True)
class Htsat:
    """The published audio transformer, part of the network."""

    schema: type[HtsatConfig] = HtsatConfig
    interface: int = INTERFACE

    def branch(self, config: HtsatConfig) -> nn.Module:
        """Make the part of the network that turns sound into audio tokens, untrained."""
        from s2s_map.models.audio.htsat import AudioBranch

        return AudioBranch(config)

    def load(self, model: LoadedModel, folder: Path) -> AudioEncoder:
        """Return what asks the network."""
        from s2s_map.models.audio.encoder import HtsatRecordingEncoder

        return HtsatRecordingEncoder(model.network, cast("HtsatConfig", model.card.config.audio))


NONE, EVENTS, HTSAT = NoAudio(), Events(), Htsat()
