"""A commented run config, written from the schema's own field descriptions."""

from __future__ import annotations

import json
import textwrap
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from s2s_map.config.run import RunConfig

_WIDTH = 88
_EXAMPLES: dict[str, str] = {
    "title": "Birds and owls",
    "crs": "EPSG:32721",
    "metadata": "{time_slots: [{month: 5, hour: 13}]}",
    "size_m": "2560",
    "temperature": "0.05",
    "workers": "2",
    "dashboard": "8787",
    "output": "out/my-map",
    "source": "iguacu_landsat8",
    "region": "[-54.6, -25.5, -54.4, -25.3]",
    "queries": "\n  - name: birds\n    text: birds singing in a forest\n"
    "  - name: owl\n    audio: sample:owl.mp3",
}


def config_template() -> str:
    """Return a YAML config with every key, its meaning and its default.

    Keys that must be given have an example, others their default; those without one are commented
    out.
    """
    lines = [
        "# A run of s2s-map: from a region and questions to maps.",
        "# s2s-map run THIS-FILE",
        "",
    ]
    for name, field in RunConfig.model_fields.items():
        lines += [*_field(name, field, ""), ""]
    return "\n".join(lines)


def _field(name: str, field: FieldInfo, indent: str) -> list[str]:
    about = _comment(field.description or "", indent)
    nested = field.annotation
    if isinstance(nested, type) and issubclass(nested, BaseModel):
        inner = [
            line
            for key, value in nested.model_fields.items()
            for line in _field(key, value, indent + "  ")
        ]
        return [*about, f"{indent}{name}:", *inner]
    if field.is_required():
        value = _EXAMPLES[name]
        return [*about, f"{indent}{name}:{'' if value.startswith(chr(10)) else ' '}{value}"]
    # What has no default shows an example, commented out.
    off = "# " if field.default is None else ""
    value = _EXAMPLES.get(name) or _yaml(field.default)
    return [*about, f"{indent}{off}{name}: {value}{_choices(field)}"]


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, _WIDTH - len(indent))]


def _choices(field: FieldInfo) -> str:
    if get_origin(field.annotation) is not Literal:
        return ""
    return f"    # one of {', '.join(_yaml(value) for value in get_args(field.annotation))}"


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
