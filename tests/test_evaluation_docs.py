"""docs/evaluation.md and benchmarks/paper_tables.yaml say what is so: every command runs.

The sets are small ones of the same schema, the models small ones under the published names.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from fixtures_cli import call
from fixtures_labelled import write_birdclef, write_eurosat, write_resisc45, write_ucmerced
from fixtures_maps import make_grid, make_layers
from fixtures_models import TINY, TINY_HTSAT, TINY_META, write_model_folder
from fixtures_plain_model import write_plain_job
from fixtures_sounds import write_sound_set
from pyproj import Transformer

from s2s_map.config.model import ModelConfig
from s2s_map.datasets.schema import SOUNDING_EARTH
from s2s_map.models.checkpoints.published import PUBLISHED
from s2s_map.rasters.maps import read_maps, write_maps

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
TABLES = yaml.safe_load((ROOT / "benchmarks" / "paper_tables.yaml").read_text())["tables"]
NOT_RUN = "not run here: data not reachable"
COMMANDS = [
    command
    for command in re.findall(r"^    (s2s-map .*)$", PAGE.replace("\\\n", " "), re.M)
    if "  #" not in command  # the list of verbs at the top
]
USED = sorted({str(t["command"]).split("--model ")[1].split()[0] for t in TABLES})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with everything the commands name."""
    folder = tmp_path_factory.mktemp("evaluation")
    for name in (*USED, "MODEL_A", "MODEL_B"):
        config = TINY if name.endswith("nometa") else TINY_META
        heard = ModelConfig.model_validate(config.model_copy(update={"audio": TINY_HTSAT}))
        where = folder / "models" / name if name in USED else folder / name
        write_model_folder(where, heard, name.lower() if name not in USED else name)
    write_sound_set(folder / "MVRL" / "GeoSound", train=0, val=0, test=12)
    write_sound_set(folder / "MVRL" / "SoundingEarth", SOUNDING_EARTH, train=0, val=0, test=12)
    write_sound_set(folder / "my_set", train=0, val=0, test=12)
    write_eurosat(folder / "data" / "eurosat")
    write_ucmerced(folder / "data" / "ucmerced")
    write_resisc45(folder / "data" / "resisc45")
    write_birdclef(folder / "data" / "birdclef-2023")
    write_birdclef(folder / "data" / "birdclef-2024")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    (folder / "own_encoder.py").write_text(code)
    _write_maps(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("S2S_MAP_MODELS", str(folder / "models"))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "cache")
        patch.syspath_prepend(str(folder))
        yield folder


def _write_maps(folder: Path) -> None:
    grid = make_grid()
    layer = make_layers(grid)[0]
    cells = np.asarray(layer.probability)
    for name, values in (("owls", cells), ("before", cells), ("after", 0.9 * cells)):
        one = replace(layer, probability=values)
        write_maps(folder / "out" / name / "maps.zarr", [one], grid, ["any"], {})
    rows, columns = np.nonzero(np.isfinite(cells[0]))
    drawn = np.random.default_rng(0).choice(len(rows), 400)
    to_degrees = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(grid.x[columns[drawn]], grid.y[rows[drawn]])
    lines = [f"{x},{y}" for x, y in zip(lon, lat, strict=True)]
    for name, some in (("owls", lines[:150]), ("all_recordings", lines), ("trained_on", ["0,0"])):
        (folder / f"{name}.csv").write_text("\n".join(["lon,lat", *some]) + "\n")


def run(command: str, output: Path) -> dict[str, Any]:
    """Run a command as it is written, with few bootstrap samples and a folder of its own."""
    program, *arguments = shlex.split(command)
    assert program == "s2s-map"
    assert call(*arguments, "--samples", 3, "-o", output) == 0
    assert (output / "report.md").is_file()
    found: dict[str, Any] = json.loads((output / "report.json").read_text())
    return found


_RAN: dict[str, dict[str, Any]] = {}


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t["name"])
def test_every_table_is_one_command(table: dict[str, Any], place: Path, tmp_path: Path) -> None:
    command = str(table["command"])
    if command not in _RAN:
        _RAN[command] = run(command, tmp_path / "report")
    results = _RAN[command]["results"]
    wanted = table["result"]
    if wanted is None:
        assert [one["method"] for one in results] == ["linear", "knn", "zero-shot"]
    else:
        results = [one for one in results if wanted.items() <= one.items()]
        assert len(results) == 1
    for one in results:
        assert 0 <= one["metrics"][table["metric"]]["value"] <= 1


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t["name"])
def test_none_is_said_to_be_reached(table: dict[str, Any]) -> None:
    assert set(table) == {"name", "published", "metric", "result", "command", "ours", "state"}
    assert str(table["command"]).split("--model ")[1].split()[0] in PUBLISHED
    assert table["ours"]
    assert table["state"] == NOT_RUN
    assert f"| {table['name']} | {table['published']} | {NOT_RUN} |" in PAGE


def test_the_tables_are_those_of_the_paper() -> None:
    assert [t["published"] for t in TABLES] == [
        86.8, 87.2, 87.1, 87.5, 62.1, 74.4, 90.95, 83.83, 45.69, 49.59
    ]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page(command: str, place: Path, tmp_path: Path) -> None:
    found = run(command, tmp_path / "report")
    report = (tmp_path / "report" / "report.md").read_text()
    if "python:own_encoder:OWN" in command and "retrieval" in command:
        assert "# own on my_set, test" in report
        assert "| image -> audio caption | 1 | none |" in report
        assert "The model cannot hear: no retrieval of recordings." in report
        assert found["model"]["sha256"] == "0" * 64
    if "python:own_encoder:OWN" in command and "compare" in command:
        assert (found["first"]["name"], found["second"]["name"]) == ("own", "s2s-mini")
        assert found["results"]


def test_ones_own_encoder_makes_maps(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the catalog's
    write_plain_job(tmp_path, blocks=2, model="python:own_encoder:OWN")
    assert call("run", tmp_path / "job.yaml") == 0
    (layer,) = read_maps(tmp_path / "out" / "maps.zarr")
    assert np.isfinite(np.asarray(layer.similarity)).any()


def test_the_page_shows_every_verb() -> None:
    verbs = {tuple(shlex.split(command)[1:3]) for command in COMMANDS}
    shown = ("retrieval", "transfer", "map", "compare-models", "compare-maps")
    assert {("evaluate", verb) for verb in shown} <= verbs
    assert len(COMMANDS) >= 7


def test_an_option_that_is_not_there_is_refused(place: Path) -> None:
    assert call("evaluate", "map", "out/owls", "--observations", "owls.csv", "--no-such") == 2
