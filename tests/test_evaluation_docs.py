"""docs/evaluation.md and benchmarks/paper_tables.yaml say what is so."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from fixtures_sounds import TILE_PX, write_sound_set

from s2s_map.cli.main import app
from s2s_map.models.published import PUBLISHED

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
TABLES = yaml.safe_load((ROOT / "benchmarks" / "paper_tables.yaml").read_text())["tables"]
NOT_RUN = "not run here: data not reachable"


def parse(command: str) -> dict[str, object]:
    """Parse a command line as s2s-map would, without running it."""
    program, *arguments = shlex.split(command)
    assert program == "s2s-map"
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands"):
        found = found.commands[arguments.pop(0)]
    return dict(found.make_context("s2s-map", arguments).params)


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t["name"])
def test_every_table_is_one_command_and_none_is_said_to_be_reached(
    table: dict[str, object],
) -> None:
    assert set(table) == {"name", "published", "metric", "command", "differs", "state"}
    options = parse(str(table["command"]))
    assert options["model"] in PUBLISHED
    assert table["state"] == NOT_RUN
    assert f"| {table['name']} | {table['published']} | {NOT_RUN} |" in PAGE


def test_the_tables_are_those_of_the_paper() -> None:
    assert [t["published"] for t in TABLES] == [
        86.8, 87.2, 87.1, 87.5, 62.1, 74.4, 90.95, 83.83, 45.69, 49.59
    ]  # fmt: skip


def test_commands_of_the_page_parse() -> None:
    text = PAGE.replace("\\\n", " ")
    commands = re.findall(
        r"^    (s2s-map evaluate (?:retrieval|transfer|map|compare) .*[^#])$", text, re.M
    )
    commands = [c for c in commands if "#" not in c]
    assert len(commands) >= 7
    for command in commands:
        assert "output" in parse(command)
    with pytest.raises(Exception, match="no-such-option"):
        parse("s2s-map evaluate map out --observations a.csv --no-such-option")


def test_an_encoder_of_ones_own(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (tmp_path / "own_encoder.py").write_text(code)
    write_sound_set(tmp_path / "my_set", train=0, val=0, test=12)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(tmp_path),
        "HF_DATASETS_CACHE": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [
            Path(sys.executable).with_name("s2s-map"), "evaluate", "retrieval",
            "--model", "python:own_encoder:OWN", "--data", "my_set", "--tile-px", str(TILE_PX),
            "--samples", "20", "-o", "report",
        ],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "report" / "report.md").read_text()
    assert "# own on my_set, test" in report
    assert "| image -> audio caption | 1 | none |" in report
    assert "The model cannot hear: no retrieval of recordings." in report
