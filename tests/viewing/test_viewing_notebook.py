"""What a notebook shows of a run."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

from PIL import Image

from s2s_map.viewing.notebook import summary_html

HOSTILE = '<img onerror="alert(1)"> & </td>'


class Tags(HTMLParser):
    """Collects tags and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_texts_of_users_are_text() -> None:
    seen = Tags()
    drawn = io.BytesIO()
    Image.new("RGB", (3000, 1500), "red").save(drawn, "PNG")
    seen.feed(summary_html(HOSTILE, [(HOSTILE, HOSTILE)], [("birds", HOSTILE)], drawn.getvalue()))
    assert [tag for tag, _ in seen.tags if tag not in ("tr", "td")] == [
        "div",
        "strong",
        "table",
        "img",
    ]
    source = next(attributes["src"] for tag, attributes in seen.tags if tag == "img")
    kind, _, data = str(source).partition(";base64,")
    assert kind == "data:image/webp"
    with Image.open(io.BytesIO(base64.b64decode(data))) as shown:
        assert shown.size == (1000, 500)
    assert seen.texts.count(HOSTILE) == 3
    assert f"birds: {HOSTILE}" in seen.texts


def test_without_a_preview_there_is_no_picture() -> None:
    assert "<img" not in summary_html("a run", [], [], None)
