"""Reading YAML and turning what does not validate into one line that says what to change."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import BaseModel, Tag, ValidationError

from s2s_map.config.files import read_bounded
from s2s_map.config.kinded import UNKNOWN_KEY, Kinded, as_it_stands
from s2s_map.config.text import shown
from s2s_map.config.yaml_text import load_yaml
from s2s_map.errors import ConfigError

MOST_BYTES = 4_000_000
"""Size of a file of YAML at most."""

_MOST_FAULTS = 8
_MESSAGES = {
    "model_type": "takes keys with values",
    "tuple_type": "takes a list",
    "list_type": "takes a list",
    "dict_type": "takes keys with values",
}
"""What pydantic says in Python's words, in those of YAML."""
_LONGEST_KEY = 60


def read_yaml(path: str | Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        ConfigError: For a file that is missing, unreadable, too large or not YAML.
    """
    try:
        content = read_bounded(path, MOST_BYTES, pipes=True)
    except FileNotFoundError:
        raise ConfigError(f"no file {path}", remedy="check the path") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot read {path}: {reason}", expected="a YAML text file") from error
    return parse_yaml(decoded(content, str(path)), str(path))


def decoded(content: bytes, name: str) -> str:
    """Return the text of bytes of UTF-8, with or without its byte order mark.

    Raises:
        ConfigError: For other bytes; it says in which line they stand.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}, line {line} holds bytes that are not UTF-8",
            remedy="save it as a text file in UTF-8",
        ) from None


def parse_yaml(text: str, name: str) -> Any:
    """Return what YAML text holds.

    Args:
        text: The text.
        name: What to call it in a message.

    Raises:
        ConfigError: For text that is not YAML, has a key twice, or is nested too deeply.
    """
    if len(text) > MOST_BYTES:
        raise ConfigError(f"{name} is larger than {MOST_BYTES // 10**6} MB")
    return load_yaml(text, name)


def parse_model[Model: BaseModel](
    model: type[Model], data: object, where: str, *, context: Mapping[str, Any] | None = None
) -> Model:
    """Validate data against a schema.

    Args:
        model: The schema.
        data: What was read, a mapping of its fields.
        where: What to call the data in a message, such as a file's name.
        context: What validators are told, such as `config.kinded.RECORDED`.

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
        return model.model_validate(data, context=context)
    except ValidationError as error:
        raw = error.errors(include_url=False)
        inner = {fault["loc"][:n] for fault in raw for n in range(1, len(fault["loc"]))}
        # What an inner fault causes further out is not a fault of its own.
        faults = [_fault(model, fault) for fault in raw if fault["loc"] not in inner]
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise ConfigError(f"{where}: {'; '.join(faults[:_MOST_FAULTS])}{more}") from None


def whole_kind[Kind: Kinded](value: Kind) -> Kind:
    """Return a value of a kind by its kind's own schema, where it was kept as it stood.

    Raises:
        ConfigError: For a kind that no usable package brings, or values that do not fit it.
    """
    base = type(value).__mro__[1]
    if not issubclass(base, Kinded) or type(value) is not as_it_stands(base):
        return value
    return cast("Kind", parse_model(base, value.model_dump(), f"{value.key}:"))


def _fault(model: type[BaseModel], fault: Any) -> str:
    location = ".".join(_key(part) for part in fault["loc"])
    if fault["type"] in ("extra_forbidden", UNKNOWN_KEY):
        key = str(fault["loc"][-1])
        known = fault.get("ctx", {}).get("known") or _known_at(model, fault["loc"][:-1])
        near = difflib.get_close_matches(key[:_LONGEST_KEY], known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"unknown key {location!r}; {hint}"
    if fault["type"] == "missing":
        return f"{location!r} is missing"
    message = _MESSAGES.get(fault["type"], str(fault["msg"])).removeprefix("Value error, ")
    given = fault.get("input")
    found = "" if isinstance(given, Mapping | list) else f" (found {shown(given)})"
    first = message[:1] if message[1:2].isupper() else message[:1].lower()
    return f"{location or 'the config'}: {first}{message[1:]}{found}"


def _known_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    owner = _schema_at(model, path)
    return list(owner.model_fields) if owner else []


def _key(part: int | str) -> str:
    text = str(part)
    return text if len(text) <= _LONGEST_KEY else f"{text[:_LONGEST_KEY]}..."


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
