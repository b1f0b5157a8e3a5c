"""What a run and a query say of their questions, and what they keep of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import rasterio
from fixtures_job import write_job

import s2s_map
from s2s_map.config.run import load_run_config
from s2s_map.errors import QueryError
from s2s_map.pipeline.verbs.query import query
from s2s_map.reporter import Reporter


class Notes(Reporter):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Notes]:
    """A run with the tiny model, whose texts MiniLM reads as it does those of s2s-mini."""
    path = write_job(
        tmp_path_factory.mktemp("job"),
        queries=[{"name": "waves", "text": "waves on a shore"}, {"name": "mash", "text": "xqzv"}],
    )
    notes = Notes()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)
        return Path(str(s2s_map.run(path, reporter=notes).folder)), notes


@pytest.fixture(autouse=True)
def _model_in_folder(finished: tuple[Path, Notes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished[0].parent)


def test_a_line_for_each_question(finished: tuple[Path, Notes]) -> None:
    _, notes = finished
    assert any(line.startswith('waves: "waves on a shore" is understood') for line in notes.lines)
    assert any(line.startswith('mash: "xqzv" is not understood') for line in notes.lines)


def test_it_stays_with_the_layer(finished: tuple[Path, Notes]) -> None:
    folder, _ = finished
    concepts = json.loads((folder / "run.json").read_text("utf-8"))["concepts"]
    assert concepts["waves"]["query"]["understood"]["level"] == "understood"
    mash = concepts["mash"]["query"]["understood"]
    assert mash["level"] == "not understood"
    assert mash["texts"][0]["p"] > 0.05
    with rasterio.open(folder / "mash.tif") as tif:
        assert "question: not understood" in tif.descriptions[0]
    with rasterio.open(folder / "waves.tif") as tif:
        assert "question" not in tif.descriptions[0]
    assert "question: not understood" in (folder / "mash.qml").read_text("utf-8")


def test_strict_refuses_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_job(tmp_path / "job", queries=[{"name": "mash", "text": "xqzv"}])
    monkeypatch.chdir(path.parent)
    with pytest.raises(QueryError, match="not understood"):
        s2s_map.run(load_run_config(path), strict=True)
    assert not (tmp_path / "job" / "out").exists()


def test_a_query_is_held_against_the_layers_there(finished: tuple[Path, Notes]) -> None:
    folder, _ = finished
    notes = Notes()
    again = query(folder, "waves on a  shore", name="again", reporter=notes)
    assert any("nearly the same to the model as waves" in line for line in notes.lines)
    assert not again.record.replaced_last
    with pytest.raises(QueryError, match="nearly the same"):
        query(folder, "waves on a shore", name="third", strict=True)


def test_replacing_a_layer_is_known(finished: tuple[Path, Notes]) -> None:
    folder, _ = finished
    assert query(folder, "rain", name="mash").record.replaced_last
