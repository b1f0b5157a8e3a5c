"""Reading YAML and turning what does not validate into one line that says what to change."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Tag, ValidationError

from s2s_map.errors import ConfigError


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        ConfigError: For a file that is missing, unreadable or not YAML.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no file {file}", remedy="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}", expected="a YAML text file") from error
    return parse_yaml(text, str(file))


def parse_yaml(text: str, name: str) -> Any:
    """Return what YAML text holds.

    Args:
        text: The text.
        name: What to call it in a message.

    Raises:
        ConfigError: For text that is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{name}{where} is not valid YAML: {problem}") from error


def parse_model[Model: BaseModel](model: type[Model], data: object, where: str) -> Model:
    """Validate data against a schema.

    Args:
        model: The schema.
        data: What was read, a mapping of its fields.
        where: What to call the data in a message, such as a file's name.

    Raises:
        ConfigError: With every fault in one line, and the right name for a misspelt key.
    """
    if not isinstance(data, Mapping):
        kind = "nothing" if data is None else f"a {type(data).__name__}"
        raise ConfigError(
            f"{where} holds {kind}",
            expected="keys with values",
            remedy=f"known keys: {', '.join(model.model_fields)}",
        )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raw = error.errors(include_url=False)
        inner = {fault["loc"][:n] for fault in raw for n in range(1, len(fault["loc"]))}
        # What an inner fault causes further out is no fault of its own.
        faults = [_fault(model, fault) for fault in raw if fault["loc"] not in inner]
        raise ConfigError(f"{where}: {'; '.join(faults)}") from None


def _fault(model: type[BaseModel], fault: Any) -> str:
    location = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        key = str(fault["loc"][-1])
        owner = _schema_at(model, fault["loc"][:-1])
        known = list(owner.model_fields) if owner else []
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"unknown key {location!r}; {hint}"
    if fault["type"] == "missing":
        return f"{location!r} is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    given = fault.get("input")
    shown = "" if isinstance(given, Mapping | list) else f" (found {given!r})"
    return f"{location or 'the config'}: {message[0].lower()}{message[1:]}{shown}"


def _schema_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    union: Any = None
    for part in path:
        if isinstance(part, int) or current is None:
            continue
        field = current.model_fields.get(part)
        if field is None and union is not None:
            # The tag of one of several schemas.
            current, union = _tagged(union, part), None
            continue
        union = field.annotation if field else None
        current = _schema_in(union) if field else None
    return current


def _tagged(annotation: Any, tag: str) -> type[BaseModel] | None:
    inner = get_args(getattr(annotation, "__value__", annotation))
    if any(isinstance(one, Tag) and one.tag == tag for one in inner):
        return _schema_in(annotation)
    for one in inner:
        found = _tagged(one, tag)
        if found is not None:
            return found
    return None


def _schema_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(getattr(annotation, "__value__", annotation)):
        found = _schema_in(inner)
        if found is not None:
            return found
    return None
