"""What users name is printed as they named it, whatever the terminal library takes for markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from fixtures_cli import call
from fixtures_models import TINY, write_model_folder
from fixtures_plain_model import write_plain_job

import s2s_map
from s2s_map.cli.console import Console, styled

NAMES = ("[/red]", "[draft]", "[bold]x", ":smile:")
CLI = Path(s2s_map.__file__).parent / "cli"


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_verbs_print_names_as_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / name.replace("/", "")
    monkeypatch.setenv("COLUMNS", "400")
    job = write_plain_job(folder, blocks=1, source=name, title=f"Shores {name}")
    catalog = folder / "data_catalog.yaml"
    entry = yaml.safe_load(catalog.read_text())["noise"]
    catalog.write_text(yaml.safe_dump({name: {**entry, "title": f"Noise {name}"}}))
    monkeypatch.chdir(folder)
    out = f"out {name.replace('/', '')}"
    (folder / "job.yaml").write_text(yaml.safe_dump({**job, "output": out}))

    def printed(*arguments: object) -> str:
        capsys.readouterr()
        assert call(*arguments) == 0
        said = capsys.readouterr()
        return " ".join((said.out + said.err).split())

    plan = printed("plan", "job.yaml")
    assert f"Noise {name}" in plan
    assert out in plan
    assert f"1 maps in {out}: waves" in printed("run", "job.yaml")
    assert f"added river to {out}" in printed("query", out, "a river", "--name", "river")
    assert f"{name} Noise {name}" in printed("catalog", "list")
    assert printed("catalog", "show", name).startswith(name)
    capsys.readouterr()
    assert call("status", f"nothing {name}") == 2
    assert f"nothing {name}" in capsys.readouterr().err


def test_a_model_is_called_as_its_card_says(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model_folder(tmp_path / "model", TINY)
    card = tmp_path / "model" / "card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "title": f"Model {name}"}))
    assert call("models", "show", tmp_path / "model") == 0
    assert f"Model {name}" in capsys.readouterr().out


def test_styles_are_apart_from_the_text() -> None:
    console = Console()
    with console.capture() as said:
        console.print(styled(("[/red]", "bold"), " is :smile:"))
    assert said.get() == "[/red] is :smile:\n"


def test_there_is_one_console() -> None:
    """Another one would take names for markup."""
    for path in CLI.rglob("*.py"):
        if path.name != "console.py":
            assert "rich.console" not in path.read_text(), path
