"""The base of every schema: frozen, no unknown keys, and bounds that hold for each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, TypeAliasType, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from s2s_map.config.text import text_fault

MOST_ITEMS = 100_000
"""Items of a list, or of a mapping, at most: names of files, say."""

LONGEST_TEXT = 10_000
"""Characters of a text at most, where a field says nothing else."""

MOST_LEVELS = 32
"""Levels of nesting within a field at most."""

_LARGEST = 1e15  # of numbers in fields that take anything

Degrees = Annotated[float, Field(ge=-360, le=360)]
Metres = Annotated[float, Field(ge=0.001, le=1_000_000)]
Count = Annotated[int, Field(ge=1, le=65_536)]
Class = Annotated[int, Field(ge=0, le=255)]
NoData = Annotated[float, Field(allow_inf_nan=True)]
"""A pixel value: of any size, and NaN."""


class Checked(BaseModel):
    """A value: it does not change, and takes no unknown keys.

    Numbers are finite, and true and false are not numbers. Texts have no control characters, and
    are of one line but where `several_lines` names the field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    several_lines: ClassVar[frozenset[str]] = frozenset()
    """Fields whose text may have line breaks."""

    longest: ClassVar[Mapping[str, int]] = {}
    """Fields whose text may be longer than `LONGEST_TEXT`, and how long."""

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        faults: list[InitErrorDetails] = []
        for name in (name for name in cls.model_fields if name in data):
            try:
                _check(data[name], _rules(cls, name), MOST_LEVELS)
            except ValueError as error:
                kind = PydanticCustomError("bounds", "{why}", {"why": str(error)})
                faults.append({"type": kind, "loc": (name,), "input": data[name]})
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return data


@dataclass(frozen=True)
class _Rules:
    """What holds for the values of a field.

    Attributes:
        truths: It may be true or false.
        free: It may be anything.
        nested: It holds values of other schemas, which check what is theirs.
        lines: Its texts may have line breaks.
        longest: Characters of its texts at most.
    """

    truths: bool
    free: bool
    nested: bool
    lines: bool
    longest: int


@lru_cache(maxsize=1024)
def _rules(model: type[Checked], name: str) -> _Rules:
    kinds = list(_parts(model.model_fields[name].annotation))
    free = object in kinds or Any in kinds
    return _Rules(
        truths=free or bool in kinds,
        free=free,
        nested=any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds),
        lines=name in model.several_lines,
        longest=model.longest.get(name, LONGEST_TEXT),
    )


def _check(value: Any, rules: _Rules, levels: int) -> None:
    if isinstance(value, bool) and not rules.truths:
        raise ValueError(
            f"YAML reads a bare {'YES or ON' if value else 'NO or OFF'} as {str(value).lower()}, "
            "which is neither a number nor a text: put a text in quotes"
        )
    if isinstance(value, int | float) and rules.free and not abs(value) <= _LARGEST:
        raise ValueError(f"takes finite numbers of up to {_LARGEST:g}")
    if isinstance(value, str):
        _check_text(value, rules)
    elif isinstance(value, Mapping | list | tuple | set | frozenset):
        _check_items(value, rules, levels)


def _check_text(value: str, rules: _Rules) -> None:
    if len(value) > rules.longest:
        raise ValueError(f"has {len(value):,} characters; at most {rules.longest:,} are taken")
    fault = text_fault(value, lines=rules.lines)
    if fault is not None:
        raise ValueError(fault)


def _check_items(value: Any, rules: _Rules, levels: int) -> None:
    if len(value) > MOST_ITEMS:
        raise ValueError(f"has {len(value):,} items; at most {MOST_ITEMS:,} are taken")
    if levels == 0:
        raise ValueError(f"is nested deeper than {MOST_LEVELS} levels")
    if isinstance(value, Mapping):
        if rules.nested:
            return
        for key in value:
            _check(key, rules, levels - 1)
        value = value.values()
    for item in value:
        _check(item, rules, levels - 1)


def _parts(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, TypeAliasType):
        yield from _parts(annotation.__value__)
        return
    yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)
