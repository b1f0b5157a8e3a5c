"""A directive that lists the keys of a schema: ``.. config-keys:: MODULE.CLASS``.

Names, defaults and meanings are those of the schema itself, so they cannot differ from what a run
accepts.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from docutils import nodes
from docutils.statemachine import StringList
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from sphinx.application import Sphinx


class ConfigKeys(SphinxDirective):
    """Lists keys, those of nested schemas with a dot."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Called by Sphinx."""
        module, _, name = self.arguments[0].rpartition(".")
        lines = [line for row in _rows(getattr(import_module(module), name), "") for line in row]
        box = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.arguments[0]), 0, box)
        return box.children


def _rows(schema: type[BaseModel], before: str) -> list[list[str]]:
    rows = []
    for name, field in schema.model_fields.items():
        key = f"{before}{field.alias or name}"
        about = " ".join((field.description or "").split())
        rows.append([f"`{key}:` {_given(field)}", *([f": {about}"] if about else [": "]), ""])
        for inner in _schemas(field.annotation):
            rows += _rows(inner, f"{key}.")
    return rows


def _given(field: FieldInfo) -> str:
    """Return whether a key must be given, what it is without, and what may be chosen."""
    words = []
    if field.is_required():
        words.append("*required*")
    elif field.default not in (None, PydanticUndefined):
        words.append(f"default `{_plain(field.default)}`")
    if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) > 1:
        choices = ", ".join(f"`{_plain(value)}`" for value in get_args(field.annotation))
        words.append(f"one of {choices}")
    return f"({'; '.join(words)})" if words else ""


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        return "{...}"
    return value if isinstance(value, str) and value else json.dumps(value, default=str)


def _schemas(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [found for part in get_args(annotation) for found in _schemas(part)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("config-keys", ConfigKeys)
    return {"parallel_read_safe": True}
