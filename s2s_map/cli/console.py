"""The terminal behind the gate: texts are redacted before they are laid out.

A line that is broken in the middle of a secret would hide it from the gate before the stream.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console as RichConsole
from rich.text import Text

from s2s_map.redaction import redacted


class Console(RichConsole):
    """Rich's console, but for what it prints."""

    def render_str(self, text: str, **how: Any) -> Text:
        """Return a text as it is shown."""
        return super().render_str(redacted(text), **how)
