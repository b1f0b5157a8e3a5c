"""The docs site is built strictly, with the settings of docs/conf.py."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
START = "# Start\n\n```{toctree}\nother\n```\n"


def build(folder: Path, page: str) -> subprocess.CompletedProcess[str]:
    """Build a site of two pages; `page` is the text of the second."""
    docs = folder / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(START)
    (docs / "other.md").write_text(f"# Other\n\n## A part\n\n{page}\n")
    sphinx = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    return subprocess.run(
        [*sphinx, "--builder", "dummy", "-c", DOCS, folder, folder / "out"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_sound_links_pass(tmp_path: Path) -> None:
    done = build(tmp_path, "[a page](index.md), [a heading](#a-part), [a file](../docs/other.md)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "broken",
    [
        "[a page](nowhere.md)",
        "[a heading](other.md#no-such-part)",
        "[a file](../tests/nowhere.py)",
        "![a picture](images/nowhere.png)",
        "```{toctree}\nnowhere\n```",
        "```{eval-rst}\n.. autofunction:: s2s_map.nothing_here\n```",
        "```{config-keys} s2s_map.config.run.Nothing\n```",
    ],
)
def test_broken_links_fail_the_build(tmp_path: Path, broken: str) -> None:
    done = build(tmp_path, broken)
    assert done.returncode != 0
    assert "other.md" in done.stderr or "nothing" in done.stderr.lower()


def test_the_glossary_has_each_word_once() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    words = re.findall(r"\*\*(.+?)\*\*", text)
    assert len(words) > 20
    assert sorted(words) == sorted(set(words))
