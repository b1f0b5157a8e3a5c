"""What a finished run shows of itself in a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

_WIDTH_PX = 1000
_STYLE = "border-collapse:collapse;margin:.4em 0"
_CELL = "text-align:left;padding:.1em 1em .1em 0;vertical-align:top"


def summary_html(
    title: str,
    lines: Sequence[tuple[str, str]],
    layers: Sequence[tuple[str, str]],
    preview: bytes | None,
) -> str:
    """Return a short summary as HTML; every text is escaped, and nothing is fetched or run.

    Args:
        title: Heading.
        lines: What is known of the run: name and value.
        layers: Names and titles of the layers.
        preview: ``preview.png``; None to show none.
    """
    rows = [_row(name, value) for name, value in lines]
    rows += [_row("layers" if not i else "", f"{n}: {t}") for i, (n, t) in enumerate(layers)]
    parts = [f"<strong>{html.escape(title)}</strong>", f'<table style="{_STYLE}">', *rows]
    parts.append("</table>")
    if preview is not None:
        data = base64.b64encode(_smaller(preview)).decode()
        parts.append(
            f'<img alt="Preview of all layers" style="max-width:100%" '
            f'src="data:image/webp;base64,{data}">'
        )
    return f"<div>{''.join(parts)}</div>"


def _smaller(preview: bytes) -> bytes:
    """Return a picture as WebP, at most as wide as a cell of a notebook: it is kept in the file."""
    from PIL import Image

    with Image.open(io.BytesIO(preview)) as image:
        image.thumbnail((_WIDTH_PX, _WIDTH_PX * 4))
        out = io.BytesIO()
        image.convert("RGB").save(out, "WEBP", quality=85)
    return out.getvalue()


def _row(name: str, value: str) -> str:
    return (
        f'<tr><td style="{_CELL}">{html.escape(name)}</td>'
        f'<td style="{_CELL}">{html.escape(value)}</td></tr>'
    )
