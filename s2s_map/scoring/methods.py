"""The built-in ways from similarity to probability, and what one of a package looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from s2s_map.config.run import ProbabilityConfig
from s2s_map.errors import PluginError
from s2s_map.plugins.kinds import PROBABILITY
from s2s_map.plugins.registry import INTERFACE
from s2s_map.scoring.probability import ProbabilityMethod, SimilarityMethod, SoftmaxMethod


class ProbabilityKind(Protocol):
    """A way from similarity to probability, as `s2s_map.plugins.kinds.PROBABILITY` holds it.

    Attributes:
        interface: Version of this protocol that it was written for, 1.
        schema: Schema of `probability:`, a subclass of `ProbabilityConfig`.
        needs_background: Whether it compares with the background vocabulary.
    """

    interface: int
    schema: type[ProbabilityConfig]
    needs_background: bool

    def make(self, settings: Any, temperature: float) -> ProbabilityMethod:
        """Return what makes probabilities; it pickles.

        Args:
            settings: Of that schema.
            temperature: That of the settings, else what the model's card says.
        """


@dataclass(frozen=True)
class BuiltInMethod:
    """A built-in way.

    Attributes:
        needs_background: Whether it compares with the background vocabulary.
        maker: Makes it, of a temperature.
    """

    needs_background: bool
    maker: Callable[[float], ProbabilityMethod]
    schema: type[ProbabilityConfig] = ProbabilityConfig
    interface: int = INTERFACE

    def make(self, settings: ProbabilityConfig, temperature: float) -> ProbabilityMethod:
        """Return what makes probabilities."""
        return self.maker(temperature)


SOFTMAX = BuiltInMethod(True, SoftmaxMethod)
SIMILARITY = BuiltInMethod(False, lambda _: SimilarityMethod())


def needs_background(settings: ProbabilityConfig) -> bool:
    """Return whether a method compares with the background vocabulary.

    Raises:
        PluginError: For a method that no usable package brings.
    """
    return bool(PROBABILITY.get(settings.method).needs_background)


def make_method(settings: ProbabilityConfig, temperature: float) -> ProbabilityMethod:
    """Return the method that settings name.

    Args:
        settings: The settings.
        temperature: That of the settings, else what the model's card says.

    Raises:
        PluginError: For a method that no usable package brings.
    """
    made = PROBABILITY.get(settings.method).make(settings, temperature)
    lacking = [name for name in ("name", "label", "__call__") if not hasattr(made, name)]
    if lacking:
        raise PluginError(
            f"method: {settings.method} makes a {type(made).__name__} without {lacking[0]}",
            expected="name, label and __call__(similarity, background_similarity)",
            remedy="see docs/adding.md",
        )
    method: ProbabilityMethod = made
    return method
