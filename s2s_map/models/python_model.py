"""Models of your own: ``python:MODULE:NAME`` names an object that gives a card and a model.

What the model embeds patches with need not be torch: with ``takes_arrays = True`` it is given numpy
arrays and returns them, and torch is not even imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from s2s_map.config.model import ModelCard
from s2s_map.errors import ModelError

if TYPE_CHECKING:
    from s2s_map.models.loaded import LoadedModel

PREFIX = "python:"


@runtime_checkable
class PythonModel(Protocol):
    """What ``python:MODULE:NAME`` must name.

    Attributes:
        card: What the model is; its sha256 tells versions apart, so set one.
    """

    card: ModelCard

    def load(self, device: str) -> LoadedModel:
        """Return the model on a device: anything with the methods of a `LoadedModel`."""


def python_model(name: str) -> PythonModel:
    """Import a model by its name.

    Args:
        name: ``python:MODULE:NAME``, from where Python finds modules on this machine.

    Raises:
        ModelError: If it cannot be imported, or is something else.
    """
    module, _, attribute = name.removeprefix(PREFIX).partition(":")
    remedy = "name it python:MODULE:NAME, and put its module on the PYTHONPATH, of workers too"
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(f"no model {name} ({error})", remedy=remedy) from error
    if not isinstance(found, PythonModel):
        raise ModelError(
            f"{name} is a {type(found).__name__}", expected="an object with card and load(device)"
        )
    return found
