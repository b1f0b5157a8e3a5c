"""The terminal behind the gate: texts are redacted before they are laid out, and shown as they are.

A line that is broken in the middle of a secret would hide it from the gate before the stream.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console as RichConsole
from rich.text import Text

from s2s_map.redaction import redacted


class Console(RichConsole):
    """Rich's console, but for what it prints; nothing in a text is markup.

    Names of folders, sources, models and concepts may hold ``[red]``, ``[/]`` or ``:wave:``.
    Colours are given apart from the text, by `styled`.
    """

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False, **how: Any) -> None:
        plain = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(stderr=stderr, soft_wrap=soft_wrap, **{**how, **plain})

    def render_str(self, text: str, **how: Any) -> Text:
        """Return a text as it is shown."""
        return super().render_str(redacted(text), **how)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a line of texts, each alone or with its style.

    Examples:
        >>> styled(("error:", "bold red"), " [/red] is not a folder").plain
        'error: [/red] is not a folder'
    """
    return Text.assemble(
        *(
            redacted(part) if isinstance(part, str) else (redacted(part[0]), part[1])
            for part in parts
        )
    )
