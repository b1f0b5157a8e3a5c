"""What a notebook shows of a run."""

from __future__ import annotations

import base64
from html.parser import HTMLParser

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
    seen.feed(summary_html(HOSTILE, [(HOSTILE, HOSTILE)], [("birds", HOSTILE)], b"\x89PNG"))
    assert [tag for tag, _ in seen.tags if tag not in ("tr", "td")] == [
        "div",
        "strong",
        "table",
        "img",
    ]
    source = next(attributes["src"] for tag, attributes in seen.tags if tag == "img")
    assert source == "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    assert seen.texts.count(HOSTILE) == 3
    assert f"birds: {HOSTILE}" in seen.texts


def test_without_a_preview_there_is_no_picture() -> None:
    assert "<img" not in summary_html("a run", [], [], None)
