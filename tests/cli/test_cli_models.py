"""``s2s-map models``: what is known, what is here, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from fixtures_models import write_model_folder

from s2s_map.cli.main import main
from s2s_map.models.checkpoints.places import MODELS_VARIABLE


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_where_they_are(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", "where"])
    assert capsys.readouterr().out == f"{models}\n"


def test_what_was_fetched_is_listed(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "sat2sound/bingmap_nometa"
    write_model_folder(models / name, name=name)
    with pytest.raises(SystemExit):
        main(["models", "list"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Formula weights" in said
    assert "s2s-map models fetch sat2sound/sentinel_withmeta" in said
    assert f"s2s-map models fetch {name}" not in said


def test_unknown_names_and_missing_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "expected one of sat2sound/bingmap_nometa" in refused(["models", "fetch", "x"], capsys)
    assert "s2s-map models fetch sat2sound/sentinel_withmeta" in refused(
        ["models", "show", "sat2sound/sentinel_withmeta"], capsys
    )
    said = refused(["models", "convert", str(tmp_path / "none.ckpt")], capsys)
    assert "no checkpoint at" in said
    torch.save({"state_dict": {}, "hyper_parameters": {"x": main}}, tmp_path / "bad.ckpt")
    said = refused(["models", "convert", str(tmp_path / "bad.ckpt")], capsys)
    assert "asks for more than weights" in said
