from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "adr"


def test_every_decision_is_in_the_index_with_its_title_and_status() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    for page in FOLDER.glob("0*.md"):
        begins = f"| {int(page.name[:4])} | ["
        (line,) = [line for line in index.splitlines() if line.startswith(begins)]
        text = page.read_text(encoding="utf-8")
        number, title = text.partition("\n")[0].removeprefix("# ").split(". ", 1)
        assert f"| {number} | [{title}]({page.name})" in line
        superseded = "Superseded by [ADR" in text
        assert ("superseded by" in line) == superseded, page.name
