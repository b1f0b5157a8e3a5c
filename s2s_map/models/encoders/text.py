"""The built-in text encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from s2s_map.config.model import FlanT5Config, MiniLMConfig, ModelCard
from s2s_map.plugins.registry import INTERFACE

if TYPE_CHECKING:
    from s2s_map.models.protocols import TextEncoder


@dataclass(frozen=True)
class MiniLM:
    """all-MiniLM-L6-v2, of the package that brings its weights."""

    schema: type[MiniLMConfig] = MiniLMConfig
    interface: int = INTERFACE

    def load(self, card: ModelCard, device: str) -> TextEncoder:
        """Load it."""
        from s2s_map.models.text.minilm import MiniLMTextEncoder

        return MiniLMTextEncoder.load(cast("MiniLMConfig", card.config.text), device=device)

    def sha256(self, card: ModelCard) -> str:
        """Hash its files."""
        from s2s_map.models.text.encoder_files import files_sha256
        from s2s_map.models.text.minilm import installed_folder

        return files_sha256(installed_folder())

    def check(self, card: ModelCard, texts: Sequence[str]) -> None:
        """Check that texts are not empty or too long."""
        from s2s_map.models.text.encoder_files import check_lengths
        from s2s_map.models.text.minilm import installed_folder

        longest = card.config.text.max_tokens
        # No token stands for less than a byte; two are put around them.
        if not all(len(text.encode()) + 2 <= longest for text in texts):
            check_lengths(installed_folder(), texts, longest)


@dataclass(frozen=True)
class FlanT5:
    """The encoder of a Flan-T5, of a folder beside the models."""

    schema: type[FlanT5Config] = FlanT5Config
    interface: int = INTERFACE

    def load(self, card: ModelCard, device: str) -> TextEncoder:
        """Load it."""
        from s2s_map.models.text.encoder_files import text_folder
        from s2s_map.models.text.t5 import FlanT5TextEncoder

        config = cast("FlanT5Config", card.config.text)
        return FlanT5TextEncoder.load(config, text_folder(card, config), device)

    def sha256(self, card: ModelCard) -> str:
        """Hash its files."""
        from s2s_map.models.text.encoder_files import files_sha256, text_folder

        return files_sha256(text_folder(card, cast("FlanT5Config", card.config.text)))

    def check(self, card: ModelCard, texts: Sequence[str]) -> None:
        """Check that texts are not empty or too long."""
        from s2s_map.models.text.encoder_files import check_lengths, text_folder

        folder = text_folder(card, cast("FlanT5Config", card.config.text))
        check_lengths(folder, texts, card.config.text.max_tokens)


MINILM, FLAN_T5 = MiniLM(), FlanT5()
