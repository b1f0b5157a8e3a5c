"""Values whose schema their kind decides: one that is built in, or that of a package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import (
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from s2s_map.config.checked import Checked
from s2s_map.errors import PluginError
from s2s_map.plugins.registry import Registry

RECORDED = {"recorded": True}
"""Context of what an output says of itself: kinds that are not built in are kept as they stand.

Whoever looks at an output runs no code that it names; asking it again does, see `load.whole_kind`.
"""

UNKNOWN_KEY = "unknown_key"
"""Type of the fault of a key that the schema of a kind does not have."""


class Kinded(Checked):
    """A value that becomes one of a subclass, by the name of its kind.

    A base sets the three names below; the schema of a kind inherits from that base.
    """

    registry: ClassVar[Registry[Any]]
    """Where its kinds are."""

    key: ClassVar[str]
    """The field that names the kind."""

    short: ClassVar[bool] = False
    """Whether a text alone is the name of a kind."""

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(
        cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if cls.short and isinstance(data, str):
            data = {cls.key: data}
        if "registry" not in cls.__dict__ or not isinstance(data, Mapping):
            return handler(data)
        name = data.get(cls.key, cls.model_fields[cls.key].default)
        if not isinstance(name, str):
            return handler(data)
        if (info.context or {}).get("recorded") and name not in cls.registry.built_in:
            return as_it_stands(cls).model_construct(None, **data)  # type: ignore[return-value]
        try:
            schema = cls.registry.get(name).schema
            if not (isinstance(schema, type) and issubclass(schema, cls)):
                raise PluginError(
                    f"the schema of {cls.key}: {name} is {schema!r}",
                    expected=f"a subclass of {cls.__module__}.{cls.__name__}",
                    remedy="see docs/adding.md",
                )
        except PluginError as error:
            raise ValueError(str(error)) from None
        if schema is cls:
            return handler(data)
        try:
            found: Self = schema.model_validate(data, context=info.context)
        except ValidationError as error:
            raise _named(error, schema, name) from None
        return found


@cache
def as_it_stands(base: type[Kinded]) -> type[Kinded]:
    """Return a schema that keeps what a kind says, whatever it is."""
    return type(base.__name__, (base,), {"model_config": ConfigDict(extra="allow")})


def _named(error: ValidationError, schema: type[Checked], name: str) -> ValidationError:
    """Return the faults of a value with the name of its kind, and what its schema knows."""
    found: list[InitErrorDetails] = []
    for fault in error.errors(include_url=False):
        kind: Any = fault["type"]
        context = fault.get("ctx", {})
        if kind == "extra_forbidden":
            known = {"known": list(schema.model_fields)}
            kind = PydanticCustomError(UNKNOWN_KEY, "Extra inputs are not permitted", known)
        elif kind not in _PLAIN:
            kind = PydanticCustomError("kind", "{why}", {"why": fault["msg"]})
        made: InitErrorDetails = {
            "type": kind,
            "loc": (name, *fault["loc"]),
            "input": fault.get("input"),
        }
        if isinstance(kind, str) and context:
            made["ctx"] = context
        found.append(made)
    return ValidationError.from_exception_data(schema.__name__, found)


# Faults whose texts are put into the words of YAML, see `config.load`.
_PLAIN = frozenset({"missing", "model_type", "tuple_type", "list_type", "dict_type"})
