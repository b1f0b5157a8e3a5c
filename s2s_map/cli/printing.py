"""The one console that verbs print through: whatever is printed is shown as it is."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def plain_console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """Return a console that takes nothing in a text for markup.

    Names of folders, sources, models and concepts may hold ``[red]``, ``[/]`` or ``:wave:``.
    Colours are given apart from the text, by `styled`.
    """
    return Console(stderr=stderr, soft_wrap=soft_wrap, markup=False, emoji=False, highlight=False)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a line of texts, each alone or with its style.

    Examples:
        >>> styled(("error:", "bold red"), " [/red] is no folder").plain
        'error: [/red] is no folder'
    """
    return Text.assemble(*parts)
