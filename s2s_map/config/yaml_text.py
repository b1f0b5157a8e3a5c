"""YAML as people write it, bounded: depth, size and aliases; each key once."""

from __future__ import annotations

from typing import Any, NoReturn

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, ScalarNode

from s2s_map.config.text import shown
from s2s_map.errors import ConfigError

MOST_LEVELS = 64
"""Levels of nesting at most."""

MOST_VALUES = 200_000
"""Values at most, each alias counted as what it stands for."""

LONGEST_NUMBER = 400
"""Characters of a number at most: longer ones take Python hours to read."""

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, bounded, which says where a value is that it cannot make."""

    levels = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self.levels += 1
        if self.levels > MOST_LEVELS:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            _refuse(event, f"it is nested deeper than {MOST_LEVELS} levels")
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node

    def get_single_data(self) -> Any:
        node = self.get_single_node()
        if node is None:
            return None
        _examine(node, {})
        return self.construct_document(node)

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        try:
            if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
                raise ValueError("too long")
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
            # Dates and numbers that there are not, and tags that do not fit what follows them.
            kind = node.tag.rpartition(":")[2]
            given = shown(node.value) if isinstance(node, ScalarNode) else "a list or mapping"
            _refuse(node, f"{given} is not a valid {kind}; a text is written in quotes")


def load_yaml(text: str, name: str) -> Any:
    """Return what YAML text holds.

    Args:
        text: The text.
        name: What to call it in a message.

    Raises:
        ConfigError: For text that is not YAML, has a key twice, or is beyond the bounds.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a safe one)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise ConfigError(
            f"{name}, line {line} holds the character U+{int(error.character):04X}",
            expected="a text without control characters",
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = str(getattr(error, "problem", None) or error)
        hint = "indent with spaces, not with tabs" if "'\\t'" in problem else ""
        raise ConfigError(f"{name}{where} is not valid YAML: {problem}", remedy=hint) from error
    except RecursionError:
        raise ConfigError(f"{name} is nested too deeply", expected="a few levels") from None


def _examine(node: Node, known: dict[Node, int]) -> int:
    """Check the keys of a node; return how many values it stands for, aliases counted each time."""
    if isinstance(node, ScalarNode):
        return 1
    if node in known:
        if known[node] == 0:
            _refuse(node, "an alias stands within what it stands for")
        return known[node]
    known[node] = 0
    if isinstance(node, MappingNode):
        _check_keys(node)
        parts = [part for pair in node.value for part in pair]
    else:
        parts = node.value
    total = 1 + sum(_examine(part, known) for part in parts)
    if total > MOST_VALUES:
        _refuse(node, f"it holds more than {MOST_VALUES:,} values, aliases counted")
    known[node] = total
    return total


def _check_keys(node: MappingNode) -> None:
    first: dict[tuple[str, str], Node] = {}
    for key, _ in node.value:
        if isinstance(key, ScalarNode):
            before = first.setdefault((key.tag, key.value), key)
            if before is not key:
                line = before.start_mark.line + 1
                _refuse(key, f"the key {shown(key.value)} stands in line {line} already; keep one")


def _refuse(node: Any, problem: str) -> NoReturn:
    raise ConstructorError(None, None, problem, node.start_mark)
